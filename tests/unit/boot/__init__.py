"""Tests of the boot. A package, so that its file names need not differ from those of other tests."""
