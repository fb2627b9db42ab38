"""Keeps what draws loaded from run to run: one model, its LoRAs, the safety checker. Knows no bucket and no queue."""
