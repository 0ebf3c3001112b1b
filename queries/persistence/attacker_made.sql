-- question: What did the suspects make, and is it still there?
-- why: what they made outlives their credential, one row for each thing where a call made several; each kind has its own call that removes or disables it
-- technique: T1098
-- false positives: a suspect who is also an owner makes things for work; removed_at is the first later removal of what has the same name, by whoever it was
WITH kinds (event_source, event_name, what, remove, disable) AS (
    VALUES
        ('iam.amazonaws.com', 'CreateUser', 'user', 'DeleteUser', ''),
        ('iam.amazonaws.com', 'CreateAccessKey', 'long-term key', 'DeleteAccessKey', 'UpdateAccessKey'),
        ('iam.amazonaws.com', 'CreateServiceSpecificCredential', 'service credential', 'DeleteServiceSpecificCredential', 'UpdateServiceSpecificCredential'),
        ('iam.amazonaws.com', 'CreateLoginProfile', 'console password', 'DeleteLoginProfile', ''),
        ('iam.amazonaws.com', 'UpdateLoginProfile', 'console password', 'DeleteLoginProfile', ''),
        ('iam.amazonaws.com', 'EnableMFADevice', 'MFA device', 'DeactivateMFADevice', ''),
        ('iam.amazonaws.com', 'CreateRole', 'role', 'DeleteRole', ''),
        ('iam.amazonaws.com', 'UpdateAssumeRolePolicy', 'trust policy', 'UpdateAssumeRolePolicy', ''),
        ('iam.amazonaws.com', 'CreatePolicyVersion', 'policy version', 'DeletePolicyVersion', 'SetDefaultPolicyVersion'),
        ('iam.amazonaws.com', 'CreateOpenIDConnectProvider', 'identity provider', 'DeleteOpenIDConnectProvider', ''),
        ('iam.amazonaws.com', 'CreateSAMLProvider', 'identity provider', 'DeleteSAMLProvider', 'UpdateSAMLProvider'),
        ('iam.amazonaws.com', 'UpdateSAMLProvider', 'identity provider', 'UpdateSAMLProvider', 'DeleteSAMLProvider'),
        ('rolesanywhere.amazonaws.com', 'CreateTrustAnchor', 'trust anchor', 'DeleteTrustAnchor', 'DisableTrustAnchor'),
        ('rolesanywhere.amazonaws.com', 'CreateProfile', 'certificate profile', 'DeleteProfile', 'DisableProfile'),
        ('ec2.amazonaws.com', 'AuthorizeSecurityGroupIngress', 'open port', 'RevokeSecurityGroupIngress', 'DeleteSecurityGroup'),
        ('ec2.amazonaws.com', 'ModifySnapshotAttribute', 'shared snapshot', 'ModifySnapshotAttribute', 'DeleteSnapshot'),
        ('ec2.amazonaws.com', 'ModifyImageAttribute', 'shared image', 'ModifyImageAttribute', 'DeregisterImage'),
        ('rds.amazonaws.com', 'ModifyDBSnapshotAttribute', 'shared snapshot', 'ModifyDBSnapshotAttribute', 'DeleteDBSnapshot'),
        ('ec2.amazonaws.com', 'CreateKeyPair', 'key pair', 'DeleteKeyPair', ''),
        ('ec2.amazonaws.com', 'ImportKeyPair', 'key pair', 'DeleteKeyPair', ''),
        ('ec2.amazonaws.com', 'RunInstances', 'instance', 'TerminateInstances', 'StopInstances'),
        ('ec2.amazonaws.com', 'CreateSnapshot', 'snapshot', 'DeleteSnapshot', ''),
        ('ec2.amazonaws.com', 'CreateSnapshots', 'snapshot', 'DeleteSnapshot', ''),
        ('ec2.amazonaws.com', 'CopySnapshot', 'snapshot', 'DeleteSnapshot', ''),
        ('ec2.amazonaws.com', 'CreateImage', 'image', 'DeregisterImage', ''),
        ('ec2.amazonaws.com', 'CopyImage', 'image', 'DeregisterImage', ''),
        ('ec2.amazonaws.com', 'CreateVolume', 'volume', 'DeleteVolume', ''),
        ('ecs.amazonaws.com', 'RunTask', 'task', 'StopTask', ''),
        ('lightsail.amazonaws.com', 'CreateInstances', 'instance', 'DeleteInstance', 'StopInstance'),
        ('lambda.amazonaws.com', 'CreateFunction', 'function', 'DeleteFunction', ''),
        ('lambda.amazonaws.com', 'UpdateFunctionCode', 'function code', 'UpdateFunctionCode', 'DeleteFunction'),
        ('lambda.amazonaws.com', 'AddPermission', 'function permission', 'RemovePermission', 'DeleteFunction'),
        ('lambda.amazonaws.com', 'CreateFunctionUrlConfig', 'function URL', 'DeleteFunctionUrlConfig', 'DeleteFunction'),
        ('events.amazonaws.com', 'PutRule', 'event rule', 'DeleteRule', 'DisableRule'),
        ('events.amazonaws.com', 'PutTargets', 'event target', 'RemoveTargets', 'DisableRule'),
        ('scheduler.amazonaws.com', 'CreateSchedule', 'schedule', 'DeleteSchedule', 'UpdateSchedule'),
        ('ses.amazonaws.com', 'VerifyEmailIdentity', 'mail identity', 'DeleteIdentity', ''),
        ('ses.amazonaws.com', 'VerifyDomainIdentity', 'mail identity', 'DeleteIdentity', ''),
        ('ses.amazonaws.com', 'CreateEmailIdentity', 'mail identity', 'DeleteEmailIdentity', ''),
        ('organizations.amazonaws.com', 'CreateAccount', 'account', 'CloseAccount', ''),
        ('organizations.amazonaws.com', 'LeaveOrganization', 'account left', 'AcceptHandshake', ''),
        ('organizations.amazonaws.com', 'DetachPolicy', 'guard-rail removed', 'AttachPolicy', ''),
        ('organizations.amazonaws.com', 'DisablePolicyType', 'guard-rail removed', 'EnablePolicyType', ''),
        ('account.amazonaws.com', 'EnableRegion', 'Region', 'DisableRegion', ''),
        ('kms.amazonaws.com', 'CreateGrant', 'key grant', 'RevokeGrant', 'RetireGrant'),
        ('kms.amazonaws.com', 'PutKeyPolicy', 'key policy', 'PutKeyPolicy', ''),
        ('s3.amazonaws.com', 'PutBucketPolicy', 'resource policy', 'DeleteBucketPolicy', 'PutBucketPolicy'),
        ('sns.amazonaws.com', 'AddPermission', 'resource policy', 'RemovePermission', ''),
        ('sqs.amazonaws.com', 'AddPermission', 'resource policy', 'RemovePermission', ''),
        ('ecr.amazonaws.com', 'SetRepositoryPolicy', 'resource policy', 'DeleteRepositoryPolicy', 'SetRepositoryPolicy'),
        ('secretsmanager.amazonaws.com', 'PutResourcePolicy', 'resource policy', 'DeleteResourcePolicy', 'PutResourcePolicy'),
        ('backup.amazonaws.com', 'PutBackupVaultAccessPolicy', 'resource policy', 'DeleteBackupVaultAccessPolicy', 'PutBackupVaultAccessPolicy'),
        ('events.amazonaws.com', 'PutPermission', 'resource policy', 'RemovePermission', ''),
        ('ssm.amazonaws.com', 'CreateAssociation', 'systems manager', 'DeleteAssociation', ''),
        ('ssm.amazonaws.com', 'CreateDocument', 'systems manager', 'DeleteDocument', ''),
        ('ssm.amazonaws.com', 'StartSession', 'open session', 'TerminateSession', ''),
        ('cloudformation.amazonaws.com', 'CreateStack', 'stack', 'DeleteStack', ''),
        ('cloudformation.amazonaws.com', 'CreateStackSet', 'stack', 'DeleteStackSet', ''),
        ('cognito-identity.amazonaws.com', 'SetIdentityPoolRoles', 'identity pool', 'SetIdentityPoolRoles', 'DeleteIdentityPool')
),
calls AS (
    SELECT
        event_time, event_id, account_id, region, principal, access_key_id, source_ip, event_source, event_name, request,
        -- each thing of a call that makes or removes several; some answers, once XML, write a list of one as the one
        filter(transform(TRY_CAST(COALESCE(
            json_extract(response, '$.instancesSet.items'), json_extract(request, '$.instancesSet.items'),
            json_extract(response, '$.CreateSnapshotsResponse.snapshotSet.item'), json_extract(response, '$.snapshotSet.items'),
            json_extract(response, '$.tasks'), CASE WHEN event_source = 'lightsail.amazonaws.com' THEN json_extract(request, '$.instanceNames') END
        ) AS ARRAY(JSON)), one -> COALESCE(
            json_extract_scalar(one, '$.instanceId'), json_extract_scalar(one, '$.snapshotId'), json_extract_scalar(one, '$.taskArn'), json_extract_scalar(one, '$')
        )), one -> one IS NOT NULL) AS several,
        COALESCE(
            CASE WHEN event_source = 'iam.amazonaws.com' THEN minted_key END, json_extract_scalar(request, '$.accessKeyId'), json_extract_scalar(request, '$.serviceSpecificCredentialId'),
            json_extract_scalar(response, '$.openIDConnectProviderArn'), json_extract_scalar(request, '$.openIDConnectProviderArn'),
            json_extract_scalar(response, '$.sAMLProviderArn'), json_extract_scalar(request, '$.sAMLProviderArn'),
            json_extract_scalar(response, '$.trustAnchor.trustAnchorId'), json_extract_scalar(request, '$.trustAnchorId'),
            json_extract_scalar(response, '$.profile.profileId'), json_extract_scalar(request, '$.profileId'),
            json_extract_scalar(response, '$.CreateSnapshotsResponse.snapshotSet.item.snapshotId'),
            CASE WHEN event_name IN ('CreateSnapshot', 'CopySnapshot') THEN json_extract_scalar(response, '$.snapshotId') END,
            CASE WHEN event_name IN ('CreateImage', 'CopyImage') THEN json_extract_scalar(response, '$.imageId') END,
            CASE WHEN event_name = 'CreateVolume' THEN json_extract_scalar(response, '$.volumeId') END,
            CASE WHEN event_name = 'DeleteVolume' THEN json_extract_scalar(request, '$.volumeId') END,
            CASE WHEN event_source = 'ecs.amazonaws.com' THEN COALESCE(json_extract_scalar(response, '$.task.taskArn'), json_extract_scalar(request, '$.task')) END,
            CASE WHEN event_source = 'lightsail.amazonaws.com' THEN json_extract_scalar(request, '$.instanceName') END,
            json_extract_scalar(response, '$.grantId'), json_extract_scalar(request, '$.grantId'), json_extract_scalar(response, '$.sessionId'), json_extract_scalar(request, '$.sessionId'),
            json_extract_scalar(request, '$.userName'), json_extract_scalar(request, '$.roleName'), json_extract_scalar(request, '$.policyArn'),
            json_extract_scalar(request, '$.snapshotId'), json_extract_scalar(request, '$.imageId'), json_extract_scalar(request, '$.dBSnapshotIdentifier'),
            json_extract_scalar(request, '$.groupId'), json_extract_scalar(request, '$.keyName'), json_extract_scalar(request, '$.functionName'),
            json_extract_scalar(request, '$.rule'), json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.identity'), json_extract_scalar(request, '$.emailAddress'),
            json_extract_scalar(request, '$.domain'), json_extract_scalar(request, '$.emailIdentity'), json_extract_scalar(request, '$.policyId'),
            json_extract_scalar(request, '$.regionName'), json_extract_scalar(request, '$.keyId'), json_extract_scalar(request, '$.bucketName'),
            json_extract_scalar(request, '$.topicArn'), json_extract_scalar(request, '$.queueUrl'), json_extract_scalar(request, '$.repositoryName'),
            json_extract_scalar(request, '$.secretId'), json_extract_scalar(request, '$.backupVaultName'), json_extract_scalar(request, '$.stackName'),
            json_extract_scalar(request, '$.stackSetName'), json_extract_scalar(request, '$.identityPoolId'), json_extract_scalar(request, '$.eventBusName')
        ) AS one_thing
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
      AND event_name IN (SELECT event_name FROM kinds UNION SELECT remove FROM kinds UNION SELECT disable FROM kinds)
),
acts AS (
    SELECT calls.*, thing.made
    FROM calls
    CROSS JOIN UNNEST(CASE WHEN cardinality(several) > 0 THEN several ELSE ARRAY[one_thing] END) AS thing (made)
),
things AS (
    SELECT a.*, k.what, k.remove, k.disable
    FROM acts a
    JOIN kinds k ON k.event_source = a.event_source AND k.event_name = a.event_name
    WHERE (contains(:keys, access_key_id) OR contains(:principals, principal))
      -- the same call shares and takes back
      AND (a.event_name NOT IN ('ModifySnapshotAttribute', 'ModifyImageAttribute', 'ModifyDBSnapshotAttribute') OR regexp_like(a.request, '"add"|"valuesToAdd"'))
),
removals AS (
    SELECT *
    FROM acts
    WHERE CASE
        WHEN event_name IN ('UpdateAccessKey', 'UpdateServiceSpecificCredential') THEN json_extract_scalar(request, '$.status') = 'Inactive'
        WHEN event_name IN ('ModifySnapshotAttribute', 'ModifyImageAttribute', 'ModifyDBSnapshotAttribute') THEN regexp_like(request, '"remove"|"valuesToRemove"')
        ELSE true
    END
)
SELECT
    t.event_time, t.event_id, t.account_id, t.region, t.principal, t.access_key_id, t.source_ip, t.event_source, t.event_name, t.what, t.made,
    t.remove, NULLIF(t.disable, '') AS disable,
    CASE WHEN count(r.event_id) > 0 THEN 'removed' ELSE 'still there' END AS state,
    min(r.event_time) AS removed_at, min_by(r.event_id, ROW(r.event_time, COALESCE(r.event_id, ''))) FILTER (WHERE r.event_time IS NOT NULL) AS removed_event_id, min_by(r.principal, ROW(r.event_time, COALESCE(r.event_id, ''), COALESCE(r.principal, ''))) FILTER (WHERE r.event_time IS NOT NULL) AS removed_by,
    CASE WHEN contains(:keys, t.access_key_id) THEN 'key' ELSE 'principal' END AS suspect
FROM things t
LEFT JOIN removals r ON r.event_source = t.event_source AND r.account_id = t.account_id AND r.region = t.region AND r.made = t.made
    AND r.event_time > t.event_time AND r.event_name IN (t.remove, t.disable)
GROUP BY
    t.event_time, t.event_id, t.account_id, t.region, t.principal, t.access_key_id, t.source_ip, t.event_source, t.event_name, t.what, t.made, t.remove, t.disable
ORDER BY t.event_time, t.event_id, t.made
