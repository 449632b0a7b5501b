"""Parameter grids read from TOML files, sweeps over them, and single runs."""
