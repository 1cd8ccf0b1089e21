from tasks.language_modeling.task import LanguageModeling

__all__ = ["LanguageModeling"]
