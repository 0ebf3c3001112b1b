"""Every row of the catalogue: its calls are AWS's, whatever a name holds, and in the emulator it does what it says."""

import copy
import json
from datetime import UTC, datetime

import pytest

from cirtlib.containment import documents, entries, rows
from cirtlib.containment.history import Act
from cirtlib.containment.step import Plan, number
from cirtlib.containment.validate import step_faults
from tests.test_catalogue import HOSTILE

HOME, OUTSIDE, REGION = "111122223333", "555555555555", "us-east-1"
ROWS, POLICIES = entries.rows(), entries.policies()
WRITTEN = json.dumps({
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OUTSIDE}:root"}, "Action": "*", "Resource": "*"}
    ],
})  # fmt: skip
ALLOWED = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})  # fmt: skip
METADATA = (
    '<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="x">'
    + " " * 1000 + "</md:EntityDescriptor>"
)  # fmt: skip


def act(event, request, response=None, *, verdict="attacker", number=1):
    source, _, name = event.partition(":")
    return Act(
        event_id=f"e-{number}", time=datetime(2026, 6, 10, 12, number, tzinfo=UTC), account=HOME, region=REGION,
        source=f"{source}.amazonaws.com", name=name, verdict=verdict, user_name="dana",
        request=request, response=response or {},
    )  # fmt: skip


def step_of(row, request=None, response=None, *, node="", before=None, event=""):
    """Step that a row gives for its sample, or for this request and response."""
    sample = row.sample
    one = act(event or row.events[0], sample["request"] if request is None else request,
              sample.get("response") if response is None else response)  # fmt: skip
    assert row.answers(one)
    node = node or f"arn:aws:{row.events[0].partition(':')[0]}:{REGION}:{HOME}:thing/one"
    before = before if before is not None else sample.get("before")
    return rows.step_of(row, one, node=node, before=before or (rows.Ref("${self.before}") if row.before else None))


def policy_step(row, sample, node):
    return documents.step_of(row, act(row.events[0], sample), None, node=node, sides=({HOME}, set()))


def filled(sample, text):
    """Sample with its document in place."""
    return json.loads(json.dumps(sample).replace('"{document}"', json.dumps(text)))


@pytest.mark.parametrize("name", ROWS)
def test_rows_make_calls_that_aws_has(name):
    """From its sample event a row makes calls that botocore's models accept, and says what people have to know."""
    row = ROWS[name]
    step = step_of(row)
    assert step_faults(step) == []
    assert step.row == name
    assert step.side_effects
    assert step.rollback_note or isinstance(step.rollback, dict)
    assert "{" not in step.title
    assert row.until
    assert row.emulator == "run" or len(row.emulator) > 10


@pytest.mark.parametrize("name", POLICIES)
def test_policies_make_calls_that_aws_has(name):
    """So does each kind of resource policy: put back, and emptied."""
    row = POLICIES[name]
    sample = filled(row.sample, WRITTEN)
    node = f"arn:aws:x:{REGION}:{HOME}:thing/one"
    assert step_faults(policy_step(row, sample, node)) == []
    own = json.loads(WRITTEN)
    own["Statement"].append({**own["Statement"][0], "Principal": {"AWS": HOME}})
    earlier = act(row.events[0], filled(row.sample, json.dumps(own)), verdict="")
    step = documents.step_of(row, act(row.events[0], sample, number=2), earlier, node=node, sides=({HOME}, set()))
    assert step_faults(step) == []
    assert "e-1" in " ".join(step.side_effects)


def hostile(value, name):
    """Sample with this text in place of every name; what IAM and AWS give themselves (ARNs, ids) is kept."""
    if isinstance(value, dict):
        return {key: hostile(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, name) for item in value]
    return name if value in ("dana", "job", "sync", "nightly", "admin", "web", "app", "quiet", "extra") else value


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("row_id", ["ssh-key", "function-permission", "event-rule", "key-pair", "group-policy-inline"])
def test_names_from_logs_stay_names(row_id, name):
    """Whatever a name holds, the calls carry it literally: no reference, no JMESPath, no option comes of it."""
    row = ROWS[row_id]
    sample = hostile(copy.deepcopy(row.sample), name)
    step = step_of(row, sample["request"], sample.get("response"))
    assert [fault for fault in step_faults(step) if "pattern" not in fault] == []
    literal = name.replace("${", "$${")
    given = json.dumps(step.api["parameters"], ensure_ascii=False)
    assert json.dumps(literal, ensure_ascii=False)[1:-1] in given
    assert "\u202e" not in step.title


class Account:
    """One emulated account, in this process."""

    def __init__(self):
        from cirtlib.training.account_state import reset
        from cirtlib.training.incidents import carry_out

        reset()
        self.out = carry_out

    def __call__(self, service, operation, **parameters):
        return self.out.call(HOME, REGION, service, operation, parameters)


@pytest.fixture
def aws():
    moto = pytest.importorskip("moto")
    with moto.mock_aws():
        yield Account()


def user(aws):
    aws("iam", "CreateUser", UserName="dana")


def role(aws, name="job"):
    return aws("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]


def group(aws):
    vpc = aws("ec2", "CreateVpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return aws("ec2", "CreateSecurityGroup", GroupName="web", Description="web", VpcId=vpc)["GroupId"]


def function(aws):
    arn = role(aws)
    made = aws("lambda", "CreateFunction", FunctionName="job", Runtime="python3.12", Role=arn, Handler="a.b",
               Code={"ZipFile": _zip()})  # fmt: skip
    return made["FunctionArn"]


def _zip():
    import io
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.py", "def b(*_): pass")
    return made.getvalue()


def key(aws):
    return aws("kms", "CreateKey")["KeyMetadata"]["Arn"]


def bucket(aws, name="data"):
    aws("s3", "CreateBucket", Bucket=name)
    return name


def trail(aws):
    bucket(aws, "log-archive")
    aws("cloudtrail", "CreateTrail", Name="audit", S3BucketName="log-archive", IsMultiRegionTrail=True)


# What the attacker did, in the emulator: row -> the request and response that the record of it would have.
def _policy_version(aws):
    arn = aws("iam", "CreatePolicy", PolicyName="app", PolicyDocument=ALLOWED)["Policy"]["Arn"]  # fmt: skip
    aws("iam", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ALLOWED, SetAsDefault=True)
    return {"policyArn": arn, "setAsDefault": True}, {"policyVersion": {"versionId": "v2"}}


def _mfa_device(aws):
    user(aws)
    serial = aws("iam", "CreateVirtualMFADevice", VirtualMFADeviceName="dana")["VirtualMFADevice"]["SerialNumber"]
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
    aws("iam", "EnableMFADevice", UserName="dana", SerialNumber=serial, **codes)
    return {"userName": "dana", "serialNumber": serial}, {}


def _ssh_key(aws):
    user(aws)
    made = aws("iam", "UploadSSHPublicKey", UserName="dana", SSHPublicKeyBody="ssh-rsa AAAA" + "B" * 300)[
        "SSHPublicKey"
    ]
    return {"userName": "dana"}, {"sSHPublicKey": {"sSHPublicKeyId": made["SSHPublicKeyId"]}}


def _signing_certificate(aws):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    user(aws)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    made = builder.serial_number(7).not_valid_before(now).not_valid_after(now).sign(private, hashes.SHA256())
    body = made.public_bytes(serialization.Encoding.PEM).decode()
    answer = aws("iam", "UploadSigningCertificate", UserName="dana", CertificateBody=body)["Certificate"]
    return {"userName": "dana"}, {"certificate": {"certificateId": answer["CertificateId"]}}


def _group_attached(aws):
    aws("iam", "CreateGroup", GroupName="developers")
    arn = aws("iam", "CreatePolicy", PolicyName="wide", PolicyDocument=ALLOWED)["Policy"]["Arn"]
    aws("iam", "AttachGroupPolicy", GroupName="developers", PolicyArn=arn)
    return {"groupName": "developers", "policyArn": arn}, {}


def _group_inline(aws):
    aws("iam", "CreateGroup", GroupName="developers")
    aws("iam", "PutGroupPolicy", GroupName="developers", PolicyName="extra", PolicyDocument=ALLOWED)
    return {"groupName": "developers", "policyName": "extra"}, {}


def _profile_role(aws):
    role(aws, "admin")
    aws("iam", "CreateInstanceProfile", InstanceProfileName="web")
    aws("iam", "AddRoleToInstanceProfile", InstanceProfileName="web", RoleName="admin")
    return {"instanceProfileName": "web", "roleName": "admin"}, {}


def _saml_provider(aws):
    arn = aws("iam", "CreateSAMLProvider", Name="idp-x", SAMLMetadataDocument=METADATA)["SAMLProviderArn"]
    return {"name": "idp-x", "sAMLMetadataDocument": METADATA}, {"sAMLProviderArn": arn}


def _oidc_provider(aws):
    given = {"Url": "https://idp.example.com", "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": ["0" * 40]}
    arn = aws("iam", "CreateOpenIDConnectProvider", **given)["OpenIDConnectProviderArn"]
    request = {"url": given["Url"], "clientIDList": given["ClientIDList"], "thumbprintList": given["ThumbprintList"]}
    return request, {"openIDConnectProviderArn": arn}


def _image_share(aws):
    image = aws("ec2", "RegisterImage", Name="golden", RootDeviceName="/dev/sda1")["ImageId"]
    aws("ec2", "ModifyImageAttribute", ImageId=image, LaunchPermission={"Add": [{"UserId": OUTSIDE}]})
    return {"imageId": image, "launchPermission": {"add": {"items": [{"userId": OUTSIDE}]}}}, {}


def _database_share(aws):
    aws("rds", "CreateDBInstance", DBInstanceIdentifier="db", DBInstanceClass="db.t3.micro", Engine="postgres",
        AllocatedStorage=20, MasterUsername="master", MasterUserPassword="not-a-secret-1")  # fmt: skip
    aws("rds", "CreateDBSnapshot", DBSnapshotIdentifier="nightly", DBInstanceIdentifier="db")
    aws(
        "rds",
        "ModifyDBSnapshotAttribute",
        DBSnapshotIdentifier="nightly",
        AttributeName="restore",
        ValuesToAdd=[OUTSIDE],
    )
    return {"dBSnapshotIdentifier": "nightly", "attributeName": "restore", "valuesToAdd": [OUTSIDE]}, {}


def _opened(direction):
    def opened(aws):
        made = group(aws)
        allow = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        answer = aws("ec2", f"AuthorizeSecurityGroup{direction}", GroupId=made, IpPermissions=allow)
        rule = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        ranges = {"items": [{"cidrIp": "0.0.0.0/0"}]}
        items = [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ranges, "groups": {}}]
        request = {"groupId": made, "ipPermissions": {"items": items}}
        return request, {"securityGroupRuleSet": {"items": [{"securityGroupRuleId": rule}]}}

    return opened


def _key_pair(aws):
    made = aws("ec2", "CreateKeyPair", KeyName="admin")
    return {"keyName": "admin"}, {"keyName": "admin", "keyPairId": made["KeyPairId"]}


def _metadata_service(aws):
    image = aws("ec2", "RegisterImage", Name="golden", RootDeviceName="/dev/sda1")["ImageId"]
    made = aws("ec2", "RunInstances", ImageId=image, MinCount=1, MaxCount=1, MetadataOptions={"HttpTokens": "optional"})
    instance = made["Instances"][0]["InstanceId"]
    aws("ec2", "ModifyInstanceMetadataOptions", InstanceId=instance, HttpTokens="optional")
    return {"ModifyInstanceMetadataOptionsRequest": {"InstanceId": instance, "HttpTokens": "optional"}}, {}


def _public_access(weak):
    def taken(aws):
        request = {"bucketName": bucket(aws)}
        if weak:
            flags = {
                "BlockPublicAcls": False,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": False,
                "RestrictPublicBuckets": True,
            }
            aws("s3", "PutPublicAccessBlock", Bucket="data", PublicAccessBlockConfiguration=flags)
            request["PublicAccessBlockConfiguration"] = flags
        return request, {}

    return taken


def _acl(aws):
    bucket(aws)
    aws("s3", "PutBucketAcl", Bucket="data", ACL="public-read")
    return {"bucketName": "data", "x-amz-acl": "public-read"}, {}


def _versioning(aws):
    bucket(aws)
    aws("s3", "PutBucketVersioning", Bucket="data", VersioningConfiguration={"Status": "Suspended"})
    return {"bucketName": "data", "VersioningConfiguration": {"Status": "Suspended"}}, {}


def _expiry(aws):
    bucket(aws)
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    aws("s3", "PutBucketLifecycleConfiguration", Bucket="data", LifecycleConfiguration={"Rules": [rule]})
    return {"bucketName": "data"}, {}


def _replication(aws):
    for name in ("data", "other"):
        bucket(aws, name)
        aws("s3", "PutBucketVersioning", Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "x", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""}}
    rule |= {"DeleteMarkerReplication": {"Status": "Disabled"}, "Destination": {"Bucket": "arn:aws:s3:::other"}}
    aws("s3", "PutBucketReplication", Bucket="data", ReplicationConfiguration={"Role": role(aws), "Rules": [rule]})
    return {"bucketName": "data"}, {}


def _function(aws):
    arn = function(aws)
    return {"functionName": "job"}, {"functionArn": arn, "functionName": "job"}


def _function_permission(aws):
    function(aws)
    given = {"FunctionName": "job", "StatementId": "open", "Action": "lambda:InvokeFunction", "Principal": OUTSIDE}
    aws("lambda", "AddPermission", **given)
    return {name[0].lower() + name[1:]: value for name, value in given.items()}, {}


def _function_url(aws):
    arn = function(aws)
    aws("lambda", "CreateFunctionUrlConfig", FunctionName="job", AuthType="NONE")
    return {"functionName": "job", "authType": "NONE"}, {"functionArn": arn}


def _event_rule(aws):
    arn = aws("events", "PutRule", Name="sync", ScheduleExpression="rate(1 hour)")["RuleArn"]
    return {"name": "sync"}, {"ruleArn": arn}


def _schedule(aws):
    target = {"Arn": function(aws), "RoleArn": f"arn:aws:iam::{HOME}:role/job"}
    aws("scheduler", "CreateSchedule", Name="nightly", ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"}, Target=target)  # fmt: skip
    request = {"name": "nightly", "scheduleExpression": "rate(1 hour)", "flexibleTimeWindow": {"mode": "OFF"},
               "target": {"arn": target["Arn"], "roleArn": target["RoleArn"]}}  # fmt: skip
    return request, {}


def _key_deletion(aws):
    arn = key(aws)
    aws("kms", "ScheduleKeyDeletion", KeyId=arn.rpartition("/")[2], PendingWindowInDays=7)
    return {"keyId": arn}, {}


def _key_disabled(aws):
    arn = key(aws)
    aws("kms", "DisableKey", KeyId=arn.rpartition("/")[2])
    return {"keyId": arn}, {}


def _key_grant(aws):
    arn, outside = key(aws), f"arn:aws:iam::{OUTSIDE}:root"
    grant = aws("kms", "CreateGrant", KeyId=arn, GranteePrincipal=outside, Operations=["Decrypt"])["GrantId"]
    return {"keyId": arn, "granteePrincipal": outside, "operations": ["Decrypt"]}, {"grantId": grant}


def _detector_deleted(aws):
    return {"detectorId": "0" * 32}, {}


def _detector_disabled(aws):
    made = aws("guardduty", "CreateDetector", Enable=True)["DetectorId"]
    aws("guardduty", "UpdateDetector", DetectorId=made, Enable=False)
    return {"detectorId": made, "enable": False}, {}


def _recorder(aws):
    arn = role(aws, "config")
    aws("config", "PutConfigurationRecorder", ConfigurationRecorder={"name": "default", "roleARN": arn})
    bucket(aws)
    aws("config", "PutDeliveryChannel", DeliveryChannel={"name": "default", "s3BucketName": "data"})
    return {"configurationRecorderName": "default"}, {}


def _hub(aws):
    return {}, {}


def _selectors(aws):
    trail(aws)
    narrow = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": False, "DataResources": []}]
    aws("cloudtrail", "PutEventSelectors", TrailName="audit", EventSelectors=narrow)
    return None, None


def _trail_settings(aws):
    trail(aws)
    aws("cloudtrail", "UpdateTrail", Name="audit", IsMultiRegionTrail=False)
    return None, None


def _retention(aws):
    aws("logs", "CreateLogGroup", logGroupName="/app/web")
    aws("logs", "PutRetentionPolicy", logGroupName="/app/web", retentionInDays=1)
    return {"logGroupName": "/app/web", "retentionInDays": 1}, {}


def _guard_rail(aws):
    aws("organizations", "CreateOrganization", FeatureSet="ALL")
    root = aws("organizations", "ListRoots")["Roots"][0]["Id"]
    aws("organizations", "EnablePolicyType", RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    made = aws(
        "organizations", "CreatePolicy", Content=ALLOWED, Description="d", Name="guard", Type="SERVICE_CONTROL_POLICY"
    )
    return {"policyId": made["Policy"]["PolicySummary"]["Id"], "targetId": HOME}, {}


def _task_definition(aws):
    given = [{"name": "miner", "image": "example.com/miner", "memory": 512}]
    arn = aws("ecs", "RegisterTaskDefinition", family="miner", containerDefinitions=given)["taskDefinition"][
        "taskDefinitionArn"
    ]
    return {"family": "miner", "containerDefinitions": given}, {"taskDefinition": {"taskDefinitionArn": arn}}


def _mail(aws):
    aws("ses", "VerifyEmailIdentity", EmailAddress="news@example.com")
    return {"emailAddress": "news@example.com"}, {}


def _mail_v2(aws):
    aws("sesv2", "CreateEmailIdentity", EmailIdentity="news@example.com")
    return {"emailIdentity": "news@example.com"}, {}


def _notebook(aws):
    made = aws(
        "sagemaker",
        "CreateNotebookInstance",
        NotebookInstanceName="gpu",
        InstanceType="ml.p3.2xlarge",
        RoleArn=role(aws),
    )
    return None, {"notebookInstanceArn": made["NotebookInstanceArn"]}


DONE = {
    "policy-version": _policy_version, "mfa-device": _mfa_device, "ssh-key": _ssh_key,
    "signing-certificate": _signing_certificate, "group-policy-attached": _group_attached,
    "group-policy-inline": _group_inline, "profile-role": _profile_role, "saml-provider": _saml_provider,
    "oidc-provider": _oidc_provider, "image-share": _image_share, "database-snapshot-share": _database_share,
    "open-port": _opened("Ingress"), "open-egress": _opened("Egress"), "key-pair": _key_pair,
    "metadata-service": _metadata_service, "bucket-public-access": _public_access(weak=False),
    "bucket-public-access-weakened": _public_access(weak=True), "bucket-acl": _acl, "bucket-versioning": _versioning,
    "bucket-expiry": _expiry, "bucket-replication": _replication, "function-stop": _function,
    "function-permission": _function_permission, "function-url": _function_url, "event-rule": _event_rule,
    "schedule": _schedule, "key-deletion": _key_deletion, "key-disabled": _key_disabled, "key-grant": _key_grant,
    "detector-deleted": _detector_deleted, "detector-disabled": _detector_disabled, "config-recorder": _recorder,
    "security-hub": _hub, "event-selectors": _selectors, "trail-settings": _trail_settings, "log-retention": _retention,
    "guard-rail": _guard_rail, "task-definition": _task_definition, "mail-identity": _mail,
    "mail-identity-v2": _mail_v2, "notebook": _notebook,
}  # fmt: skip


def carried_out(aws, step):
    """Run of one step: it finds what is recorded, changes it, and its check holds; and back again with the switch."""
    plan = Plan(case="c", title="t", as_of="2026-06-10T12:00:00Z", steps=number([step])).to_dict()
    run = aws.out.Run(plan, datetime(2026, 6, 10, 13, tzinfo=UTC))
    assert [one.result for one in run.verify()] != ["done"]
    (outcome,) = run.contain()
    assert outcome.result == "done", outcome
    assert [one.result for one in run.verify()] == ["done"], run.verify()
    return run


def undone(run, step):
    """Rollback is refused without the switch where it lets the attacker in; with it the step no longer holds."""
    (refused,) = run.rollback()
    if isinstance(step.rollback, str):
        assert refused.result == "stays"
        return
    assert refused.result == "refused", refused
    (back,) = run.rollback(reopen=True)
    assert back.result == "undone", back


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.emulator == "run"])
def test_rows_do_what_they_say(name, aws):
    """In the emulator: what the attacker left is found, changed, checked, and given back only with the switch."""
    request, response = DONE[name](aws)
    row = ROWS[name]
    step = step_of(row, request, response)
    undone(carried_out(aws, step), step)


def _bucket_policy(aws):
    bucket(aws)
    aws("s3", "PutBucketPolicy", Bucket="data", Policy=WRITTEN)
    return {}


def _key_policy(aws):
    arn = key(aws)
    aws("kms", "PutKeyPolicy", KeyId=arn, PolicyName="default", Policy=WRITTEN)
    return {"keyId": arn}


def _secret_policy(aws):
    aws("secretsmanager", "CreateSecret", Name="db", SecretString="x")
    aws("secretsmanager", "PutResourcePolicy", SecretId="db", ResourcePolicy=WRITTEN)
    return {}


def _repository_policy(aws):
    aws("ecr", "CreateRepository", repositoryName="app")
    aws("ecr", "SetRepositoryPolicy", repositoryName="app", policyText=WRITTEN)
    return {}


def _topic_policy(aws):
    arn = aws("sns", "CreateTopic", Name="alerts")["TopicArn"]
    aws("sns", "SetTopicAttributes", TopicArn=arn, AttributeName="Policy", AttributeValue=WRITTEN)
    return {"topicArn": arn}


def _queue_policy(aws):
    url = aws("sqs", "CreateQueue", QueueName="jobs")["QueueUrl"]
    aws("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": WRITTEN})
    return {"queueUrl": url}


SET = {
    "bucket-policy": _bucket_policy, "key-policy": _key_policy, "secret-policy": _secret_policy,
    "repository-policy": _repository_policy, "topic-policy": _topic_policy, "queue-policy": _queue_policy,
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, row in POLICIES.items() if row.emulator == "run"])
def test_policies_do_what_they_say(name, aws):
    """A policy that lets another account in is taken off or closed, and put back only with the switch."""
    row = POLICIES[name]
    sample = filled(row.sample, WRITTEN) | SET[name](aws)
    step = policy_step(row, sample, f"arn:aws:x:{REGION}:{HOME}:thing/one")
    undone(carried_out(aws, step), step)
