"""Storm for Python: a distributed real-time computation system."""
