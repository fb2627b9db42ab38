"""`python -m userdata.worker.txt2img`: draws with this machine's model as scripts/txt2img.py of the original does."""

import sys

from userdata.worker.by_hand.script_call import main

if __name__ == "__main__":
    sys.exit(main("txt2img"))
