"""A run on the Hugging Face hub, as it is when it is finished: weights, vocabulary, settings, scores, samples, card."""

from pathlib import Path

from huggingface_hub import HfApi

from shared.errors import UserError, first_line
from shared.training.arguments import TrainingArguments

LEFT_OUT = ["checkpoint-*", ".*", "*.html"]


def new_repository(arguments: TrainingArguments) -> str:
    """The name of the hub's repository for this run, made where there is none.

    Raises:
        UserError: before any training, if the hub cannot be reached or refuses.
    """
    name = arguments.hub_model_id or Path(arguments.output_dir).absolute().name
    try:
        api = HfApi(token=arguments.hub_token)
        return api.create_repo(name, private=arguments.hub_private_repo, exist_ok=True).repo_id
    except (OSError, ValueError) as error:  # what the hub's errors are
        raise UserError(
            f"--push_to_hub: no repository {name} could be made ({first_line(error)}); log in by `hf auth login`, or "
            "leave the flag out"
        ) from error


def push(folder: Path, repository: str, arguments: TrainingArguments) -> None:
    """Upload a finished run.

    Raises:
        UserError: if it cannot be; the run is whole, and says how to push it later.
    """
    try:
        HfApi(token=arguments.hub_token).upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="A trained decoder, its scores and its card",
            revision=arguments.hub_revision,
            ignore_patterns=LEFT_OUT,
        )
    except (OSError, ValueError) as error:
        excluded = " ".join(f"--exclude '{pattern}'" for pattern in LEFT_OUT)
        raise UserError(
            f"--push_to_hub: {folder} could not be pushed ({first_line(error)}); it is whole, and goes there by "
            f"hf upload {repository} {folder} . {excluded}"
        ) from error
