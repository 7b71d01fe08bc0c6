from pathlib import Path

from flowtell import flow, materialize, measure, task


@task(retries=2)
def extract():
    return Path("/etc/passwd").read_text().splitlines()


@materialize("file://shells.txt", asset_deps=["file://etc/passwd"])
def load(users):
    shells = sorted({user.rpartition(":")[2] for user in users})
    Path("shells.txt").write_text("\n".join(shells))
    measure("shells", len(shells))


@flow
def shells():
    load(extract())


shells()
