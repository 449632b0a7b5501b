"""The mirror map: reduced form, state, potential and mirror descent."""
