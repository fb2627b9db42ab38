"""Programs that measure speed. Each prints its machine, its versions and its sizes with the figures."""
