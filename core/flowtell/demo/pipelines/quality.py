"""Check the days: one called rainy should have rain in it. On 44 of 641 the gauge measured none."""

from __future__ import annotations

from flowtell import failed, flow, get_run_logger, measure, task
from flowtell.demo.pipelines import place


class TooDry(ValueError):
    """More rainy days than allowed have no rain."""


@task
def rainy_days() -> dict[str, float]:
    with place.warehouse() as db:
        return dict(db.execute("SELECT date, rain_mm FROM days WHERE weather = 'rain' ORDER BY date").fetchall())


@task
def check(days: dict[str, float], allowed: float) -> None:
    dry = [date for date, rain_mm in days.items() if rain_mm == 0]
    share = len(dry) / len(days)
    measure("dry rainy days", len(dry))
    if share > allowed:
        raise TooDry(
            f"{len(dry)} of {len(days)} rainy days have no rain, {dry[0]} first: {share:.1%}, allowed {allowed:.0%}"
        )
    get_run_logger().info("%.1f%% of the rainy days have no rain, which is within what is allowed", share * 100)


@flow(rules=[failed(severity="critical")])
def quality(allowed: float = 0.0) -> None:
    """Fails where more than the `allowed` part of the rainy days is dry: a gauge does not show every drizzle."""
    check(rainy_days(), allowed)


if __name__ == "__main__":
    quality()
