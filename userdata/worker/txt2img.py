"""`python -m userdata.worker.txt2img`: draws with this machine's model as scripts/txt2img.py of the original does."""

import sys

from userdata.worker.by_hand.interruption import ends_when_interrupted

if __name__ == "__main__":
    with ends_when_interrupted("txt2img"):
        from userdata.worker.by_hand.script_call import main  # takes a second, in which a person may think again

        sys.exit(main("txt2img"))
