from tasks.chorales.task import Chorales

__all__ = ["Chorales"]
