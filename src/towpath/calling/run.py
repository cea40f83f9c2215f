"""What the job of a function step starts."""

from towpath.calling.job import main

if __name__ == "__main__":
    main()
