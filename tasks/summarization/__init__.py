from tasks.summarization.task import Summarization

__all__ = ["Summarization"]
