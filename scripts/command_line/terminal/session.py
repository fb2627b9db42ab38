"""The session with AWS that a command works with: in which region, with whose credentials."""

from __future__ import annotations

import os
import re
import shlex

import boto3
import botocore.exceptions
from botocore.credentials import ReadOnlyCredentials

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

# In botocore's order, which `aws` has too. The CDK looks at them the other way round.
PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
# A key from a file with Windows' line ends, or copied with the end of its line, cannot be sent in a header.
SENDABLE = re.compile(r"[!-~]+")
# botocore's errors about profiles that give no credentials.
UNUSABLE = (
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.InvalidConfigError,
    botocore.exceptions.UnknownCredentialError,
)


def open_session(region: str | None, profile: str | None) -> boto3.Session:
    """The session of `choose_session`, once its credentials were found. Raises `CommandError` without any."""
    session = choose_session(region, profile)
    credentials_of(session)
    return session


def choose_session(region: str | None, profile: str | None) -> boto3.Session:
    """A session with that region and profile, or the person's own. Raises `CommandError` for an unknown profile.

    botocore knows AWS_DEFAULT_REGION only, but the CDK and version 2 of the AWS CLI obey AWS_REGION first. An empty
    variable says nothing, as for the CDK; botocore would look for a profile without a name.
    """
    for name in (*PROFILE_VARIABLES, "AWS_DEFAULT_REGION"):
        if not os.environ.get(name, "nothing"):
            del os.environ[name]
    try:
        session = boto3.Session(
            region_name=region or os.environ.get("AWS_REGION") or None, profile_name=profile or None
        )
        # A new session has not looked for its profile where AWS_DATA_PATH is set, which some libraries do.
        if session.profile_name not in ("default", *session.available_profiles):
            raise botocore.exceptions.ProfileNotFound(profile=session.profile_name)
    except botocore.exceptions.ProfileNotFound as error:
        named = "--profile" if profile else next(name for name in PROFILE_VARIABLES if name in os.environ)
        raise CommandError(
            f"{error}: {named} names it. `aws configure list-profiles` shows those that there are; in the config file "
            "the section of one is [profile NAME]."
        ) from error
    except botocore.exceptions.ConfigParseError as error:
        raise CommandError(
            f"{error}. Mend the lines of that file: a section is [default] or [profile NAME], a setting NAME = VALUE."
        ) from error
    return session


def credentials_of(session: boto3.Session) -> ReadOnlyCredentials:
    """The keys that sign every call of the session now. Raises `CommandError`, with the command that makes new ones.

    May run the person's `credential_process`, ask AWS for a role, and ask the person for an MFA code. Keys that end by
    themselves have ten minutes left or more, because botocore renews them before.
    """
    name = shlex.quote(session.profile_name)
    with aws_errors_in_words("find AWS credentials"):
        try:
            found = session.get_credentials()
            if found is None:
                raise botocore.exceptions.NoCredentialsError
            keys = found.get_frozen_credentials()
            if all(SENDABLE.fullmatch(key) for key in (keys.access_key, keys.secret_key, keys.token) if key):
                return keys
            # Said here, because the library's error has the key itself in its words.
            why = "a key or the session token has a line break, a blank or another sign in it that no key has"
            step = f"Copy them again: `aws configure list --profile {name}` says where they come from"
        except (botocore.exceptions.SSOError, botocore.exceptions.TokenRetrievalError) as error:
            why, step = str(error), f"Log in again: `aws sso login --profile {name}`"
        except botocore.exceptions.LoginError as error:
            why, step = str(error), f"Log in again: `aws login --profile {name}`"
        except botocore.exceptions.MissingDependencyException:
            why = "a session of `aws login` takes a library to read that is not installed here"
            step = f'Hand its keys over: `eval "$(aws configure export-credentials --profile {name} --format env)"`'
        except EOFError:
            why, step = "the profile asks for an MFA code, and nobody can type it here", "Run the command in a terminal"
        # botocore checks neither what a `credential_process` answers nor whether the environment's keys have ended.
        except (*UNUSABLE, OSError, ValueError, RuntimeError) as error:
            why = str(error) or type(error).__name__
            step = f"Look at where they come from: `aws configure list --profile {name}`"
        raise CommandError(f"Could not find AWS credentials: {' '.join(why.split()).rstrip('.')}. {step}.")
