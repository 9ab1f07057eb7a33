"""Start `python -m evaluator`."""

from evaluator.support.interrupts import end_at_once, stay_to_the_end


def main() -> None:
    """Run the command line; Ctrl-C is handled before its imports, which take a while."""
    stay_to_the_end()  # exit handlers run in reverse: the first registered runs last
    end_at_once()
    from evaluator.cli import main as run

    run()


if __name__ == "__main__":
    main()
