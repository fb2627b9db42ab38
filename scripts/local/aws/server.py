"""moto's server: the emulated AWS API, on the loopback interface of this process."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from moto import settings
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from scripts.local.aws.account_plan import AccountPlan
from scripts.local.aws.faults import Faults
from scripts.local.aws.price_list import PriceList

TALKATIVE = ("werkzeug", "moto", "scripts.local")


class Server:
    """Starts with an empty account. moto keeps its state in the process, so there is one at a time.

    Once started, `faults` is what its requests may meet.
    """

    faults: Faults

    def __init__(self, log_file: Path, *, verbose: bool) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._handlers: list[logging.Handler] = [logging.FileHandler(log_file, encoding="utf-8")]
        if verbose:
            self._handlers.append(logging.StreamHandler())

    def start(self) -> None:
        """Forgets what an earlier cloud of this process held, and serves on a free port."""
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
            for name in TALKATIVE:
                logging.getLogger(name).addHandler(handler)
        for name in TALKATIVE:
            logging.getLogger(name).propagate = False
            logging.getLogger(name).setLevel(logging.INFO)
        # As EC2 does, refuse an instance type that does not exist.
        settings.EC2_ENABLE_INSTANCE_TYPE_VALIDATION = True
        moto_api_backend.reset()
        self._server.start()
        serving: Any = self._server._server
        self.faults = serving.app = Faults(AccountPlan(PriceList(serving.app)))

    @property
    def endpoint(self) -> str:
        """The address of the API.

        It says 127.0.0.1 and not localhost: for a number every SDK addresses buckets by path, while the CDK CLI would
        ask for `bucket.localhost`, a name that does not resolve on every machine.
        """
        return f"http://127.0.0.1:{self._server.get_host_and_port()[1]}"

    def stop(self) -> None:
        """Stops serving, and gives the port and the loggers back."""
        self._server.stop()
        serving: Any = self._server._server
        serving.server_close()
        for handler in self._handlers:
            for name in TALKATIVE:
                logging.getLogger(name).removeHandler(handler)
            handler.close()
        for name in TALKATIVE:
            logging.getLogger(name).propagate = True
