"""EC2 Auto Scaling as AWS documents it, behind moto's API: groups that launch, end and replace machines."""
