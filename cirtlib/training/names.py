"""Names and user agents that a seed chooses from: made up, and only under example.com."""

import random
from dataclasses import dataclass

# fmt: off
_FIRST = [
    "Akua", "Alejandro", "Ana", "Arnav", "Carlos", "Diego", "Efua", "Jane", "Jorge", "John", "Kwaku", "Kwesi",
    "Li", "Mateo", "Maria", "Martha", "Mary", "Mohammed", "Nikhil", "Nikki", "Pat", "Paulo", "Richard",
    "Saanvi", "Shirley", "Sofia", "Terry", "Wang", "Xiulan", "Zhang", "Márcia", "Júlia", "Ling", "Nina",
    "Oliver", "Priya", "Tomás", "Yara",
]
_LAST = [
    "Mansa", "Rosalez", "Silva", "Desai", "Salazar", "Ramirez", "Owusu", "Doe", "Souza", "Stiles", "Mensah",
    "Boateng", "Juan", "Jackson", "Garcia", "Rivera", "Major", "Ribeiro", "Jayashankar", "Wolf", "Candella",
    "Santos", "Roe", "Sarkar", "Rodriguez", "Martinez", "Whitlock", "Wei", "Oliveira", "Costa", "Chen", "Kim",
    "Patel",
]
# fmt: on
_PLAIN = str.maketrans("áéíóúâêôãõç", "aeiouaeoaoc")


@dataclass(frozen=True)
class Name:
    """Someone's name in its three spellings."""

    full: str
    login: str
    email: str


def crew(rng: random.Random, count: int) -> list[Name]:
    """Draw people; no two share a login."""
    pairs = rng.sample([(first, last) for first in _FIRST for last in _LAST if first != last], count)
    found = []
    for first, last in pairs:
        login = f"{first}.{last}".lower().translate(_PLAIN)
        found.append(Name(f"{first} {last}", login, f"{login}@example.com"))
    return found


def logins(rng: random.Random, count: int) -> list[str]:
    """Draw short login names of developers."""
    pairs = {f"{first[0]}{last}".lower().translate(_PLAIN) for first in _FIRST for last in _LAST}
    return [f"dev-{name}" for name in rng.sample(sorted(pairs), count)]


def browser(rng: random.Random) -> str:
    """Draw a browser's user agent."""
    chrome, firefox = rng.choice(("146", "147", "148")), rng.choice(("149.0", "150.0", "151.0"))
    windows, mac = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"
    system = rng.choice((windows, windows, mac, mac, "X11; Linux x86_64"))
    webkit = f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36"
    gecko = f"Mozilla/5.0 ({system}; rv:{firefox}) Gecko/20100101 Firefox/{firefox}"
    return rng.choice((webkit, webkit, f"{webkit} Edg/{chrome}.0.0.0", gecko))


def shell(rng: random.Random, *, system: str | None = None) -> str:
    """Draw the user agent of an AWS command line; {command} stands for the command."""
    version, python = rng.choice((("2.31.1", "3.13.7"), ("2.32.3", "3.13.9"), ("2.33.15", "3.13.11")))
    runtime = "0.27.6" if version == "2.31.1" else "0.28.4"
    chosen = system or rng.choice(
        (
            "os/macos#24.6.0 md/arch#arm64",
            "os/macos#25.1.0 md/arch#arm64",
            "os/windows#11 md/arch#amd64",
            "os/linux#6.8.0-85-generic md/arch#x86_64",
        )
    )
    installer = "source" if "macos" in chosen else "exe"
    name = "kali.2026" if "kali" in chosen else "ubuntu.24"
    distribution = f" md/distrib#{name}" if "linux" in chosen else ""
    return (
        f"aws-cli/{version} md/awscrt#{runtime} ua/2.1 {chosen} lang/python#{python} md/pyimpl#CPython m/b,Z,E "
        f"cfg/retry-mode#standard md/installer#{installer}{distribution} md/prompt#off md/command#{{command}}"
    )


def boto(rng: random.Random, *, system: str = "os/macos#24.6.0 md/arch#arm64") -> str:
    """Draw the user agent of a Python script."""
    version = rng.choice(("1.40.21", "1.41.5", "1.42.8"))
    return (
        f"Boto3/{version} md/Botocore#{version} ua/2.1 {system} lang/python#3.12.11 md/pyimpl#CPython m/Z,b,E "
        f"cfg/retry-mode#legacy Botocore/{version}"
    )


def attacker_agent(rng: random.Random) -> str:
    """Draw the tool an attacker works with; it runs on another system than anyone's in the office."""
    linux = "os/linux#6.12.38+kali-cloud-amd64 md/arch#x86_64"
    debian = "os/linux#6.1.0-37-amd64 md/arch#x86_64"
    python, go = "python-requests/2.32.4", "aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.23.8 md/GOOS#linux"
    kind = rng.randrange(4)
    return (shell(rng, system=linux), boto(rng, system=debian), python, f"{go} md/GOARCH#amd64 api/{{api}}#1.30.2")[
        kind
    ]


def lambda_agent(rng: random.Random) -> str:
    """Draw the user agent of a Lambda function."""
    python = rng.choice(("1.40.4", "1.40.26"))
    return (
        f"Boto3/{python} md/Botocore#{python} ua/2.1 os/linux#5.10.244-267.968.amzn2.x86_64 md/arch#x86_64 "
        "lang/python#3.13.7 md/pyimpl#CPython exec-env/AWS_Lambda_python3.13 m/b,Z,D cfg/retry-mode#legacy "
        f"Botocore/{python}"
    )


def projects(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Draw build projects and the tool each works with; the first is infrastructure as code."""
    terraform = (
        "APN/1.0 HashiCorp/1.0 Terraform/1.13.3 (+https://www.terraform.io) terraform-provider-aws/6.14.1 "
        "(+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.39.2 ua/2.1 os/linux "
        "lang/go#1.24.6 md/GOOS#linux md/GOARCH#amd64 api/{api}#1.50.0 m/C,g"
    )
    linux = "os/linux#6.11.0-1018-azure md/arch#x86_64"
    tools = [shell(rng, system=linux), boto(rng, system=linux)]
    rest = rng.sample(("shop-frontend", "orders-api", "billing-batch", "search-index", "mobile-backend"), 5)
    found = [("platform/infrastructure", terraform)]
    found += [(f"apps/{name}", tools[index % 2]) for index, name in enumerate(rest)]
    more = [(f"apps/service-{index}", tools[index % 2]) for index in range(count)]
    return (found + more)[:count]


def machine_roles(rng: random.Random, count: int) -> list[str]:
    """Draw the names of instance roles."""
    known = ["web-frontend-instance", "orders-worker-instance", "batch-instance", "bastion-instance", "search-instance"]
    return (rng.sample(known, len(known)) + [f"app-{index}-instance" for index in range(count)])[:count]


def functions(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Draw Lambda functions and their tasks; the first makes backups."""
    known = [("thumbnailer", "objects"), ("orders-export", "table"), ("invoice-mailer", "secret")]
    known += [("inventory-sync", "table"), ("log-shipper", "objects"), ("price-updater", "secret")]
    found = [("nightly-volume-backup", "backup"), *rng.sample(known, len(known))]
    return (found + [(f"event-handler-{index}", "table") for index in range(count)])[:count]


def trail(rng: random.Random) -> str:
    """Draw the name of an account's own trail."""
    return (
        rng.choice(("management-events", "account-trail", "security-trail", "main-trail")) + f"-{rng.randrange(10, 99)}"
    )


def buckets(rng: random.Random, account: str) -> tuple[str, ...]:
    """Draw bucket names; the first holds the account's own trail. amzn-s3-demo-… is AWS's prefix for documentation."""
    tail = f"{rng.getrandbits(24):06x}"
    kinds = ["assets", "exports", "backups"]
    return (f"amzn-s3-demo-trail-{account}", *(f"amzn-s3-demo-{kind}-{tail}" for kind in kinds))


def new_user(rng: random.Random) -> str:
    """Draw the name an attacker gives a user so that nobody looks twice."""
    return rng.choice(
        ("svc-backup-sync", "svc-monitoring-agent", "cloudwatch-exporter", "ses-smtp-user-2", "terraform-state-reader")
    )


def automated_user(rng: random.Random) -> str:
    """Draw the name of the user that a pipeline makes."""
    return (
        rng.choice(("smtp-newsletter", "partner-upload", "metrics-scraper", "cdn-invalidate"))
        + f"-{rng.randrange(2, 9)}"
    )


def instance_rights() -> tuple[str, ...]:
    """List the actions of the policy that an instance role was given for convenience."""
    some = ("iam:PassRole", "iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy")
    return ("s3:*", "ec2:*", "iam:List*", "iam:Get*", *some)


def group(rng: random.Random) -> str:
    """Draw the name of a security group."""
    return rng.choice(("web-servers", "app-tier", "launch-wizard-3", "legacy-hosts", "worker-nodes"))


def opening(rng: random.Random) -> str:
    """Draw what somebody wrote beside a rule that opens a port to the world."""
    return rng.choice(("temp - debugging, remove later", "vendor access", "ssh", "support session", "allow my ip"))


def objects(rng: random.Random, count: int) -> list[str]:
    """Draw keys of objects in a bucket of exports."""
    kinds = ("customers", "orders", "invoices", "payments")
    return [
        f"exports/{rng.choice(kinds)}/2026/{rng.randrange(1, 13):02d}/part-{number:05d}.csv.gz"
        for number in rng.sample(range(400), count)
    ]
