"""The machine image: AWS's Deep Learning AMI, by the public parameter that names its latest release."""

DEEP_LEARNING_AMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
