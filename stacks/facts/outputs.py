"""The stack's outputs by name, each with what it is for. The command line reads them."""

from __future__ import annotations

OUTPUTS = {
    "ResultsBucket": "The bucket with the images.",
    "InstanceId": "The GPU instance.",
    "InteractiveQueue": "The queue of the runs that somebody waits for.",
    "BatchQueue": "The queue of the runs that can wait.",
    "Fleet": "The Auto Scaling group of the machines that draw batches.",
    "ReleaseRole": "The role with which a schedule releases a batch.",
    "PrivateKey": "Writes the key for SSH into sd-on-ec2.pem.",
    "Shell": "Opens a shell on the instance through Session Manager, without a key or an open port.",
    "Status": "Shows how far the run is.",
    "Images": "Lists the runs and downloads their images.",
    "Start": "Starts the stopped instance, if its deployed job is not done yet, or runs wait in the queues.",
    "Destroy": "Deletes everything but the images.",
    "Settings": "The settings (-c) of this deployment, which `sd deploy` keeps.",
}
