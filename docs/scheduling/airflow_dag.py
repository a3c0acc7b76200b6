"""An audit every night in Airflow 3: a failed attempt is repeated and goes on where it stopped, a verdict is not."""

import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

FOLDER = "/srv/audit"
COMMAND = [f"{FOLDER}/.venv/bin/lrp-audit", "run", "reviews.yaml", "--log", "json"]
VERDICTS = {
    0: "every gate holds",
    3: "a gate is breached",
    4: "the explanation is not valid",
    5: "a gate is inconclusive",
}


@dag(
    schedule="17 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def audit_reviews() -> None:
    """Audit, then judge."""

    @task
    def audit() -> int:
        """The exit code of a run that has a verdict."""
        code = subprocess.run(COMMAND, cwd=FOLDER, check=False).returncode
        if code == 2:
            raise AirflowFailException("config, data or model cannot be used: see the log")
        if code not in VERDICTS:
            raise RuntimeError(f"exit code {code}: the next attempt goes on where this one stopped")
        return code

    @task
    def judge(code: int) -> None:
        """Fail where a gate is breached or nothing can be said of it."""
        if code in (3, 4):
            raise AirflowFailException(VERDICTS[code])

    judge(audit())


audit_reviews()
