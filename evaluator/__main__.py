"""`python -m evaluator`."""

from evaluator.support.interrupts import end_at_once, stay_to_the_end


def main() -> None:
    """Run the command line, whose imports take long enough to be interrupted."""
    stay_to_the_end()  # first of all, for what is registered first is called last
    end_at_once()
    from evaluator.cli import main as run

    run()


if __name__ == "__main__":
    main()
