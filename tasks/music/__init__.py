from tasks.music.task import Music

__all__ = ["Music"]
