"""`python -m onedecoder …`, and for `accelerate launch --module onedecoder train TASK …` on many GPUs."""

from onedecoder.commands import main

if __name__ == "__main__":
    main()
