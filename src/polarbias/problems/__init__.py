"""Linear problems A X = b: their data, random instances, certificates and reference solutions."""
