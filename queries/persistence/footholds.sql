-- question: What was made that lets someone come back?
-- why: users, keys, trust, functions, rules and keys for machines outlive the credential that made them
-- technique: T1098
-- false positives: infrastructure as code by pipelines; onboarding of people: compare principal and source with the baseline
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 'iam.amazonaws.com' THEN CASE
                WHEN event_name = 'CreateUser' THEN 'user'
                WHEN event_name IN ('CreateAccessKey', 'CreateServiceSpecificCredential', 'UploadSSHPublicKey', 'UploadSigningCertificate') THEN 'long-term key'
                WHEN event_name IN ('CreateLoginProfile', 'UpdateLoginProfile') THEN 'console password'
                WHEN event_name IN ('CreateRole', 'CreateInstanceProfile', 'CreateServiceLinkedRole') THEN 'role'
                WHEN event_name = 'UpdateAssumeRolePolicy' THEN 'trust change'
                WHEN event_name IN ('CreateSAMLProvider', 'UpdateSAMLProvider', 'CreateOpenIDConnectProvider', 'AddClientIDToOpenIDConnectProvider', 'UpdateOpenIDConnectProviderThumbprint') THEN 'identity provider'
                WHEN event_name IN ('EnableMFADevice', 'CreateVirtualMFADevice', 'DeactivateMFADevice') THEN 'MFA device'
            END
            WHEN event_source = 'rolesanywhere.amazonaws.com' AND event_name IN ('CreateTrustAnchor', 'CreateProfile', 'EnableTrustAnchor', 'ImportCrl') THEN 'trust anchor'
            WHEN event_source = 'sts.amazonaws.com' AND event_name = 'GetFederationToken' THEN 'federation session'
            WHEN event_source = 'lambda.amazonaws.com' AND event_name IN ('AddPermission', 'CreateFunctionUrlConfig', 'UpdateFunctionUrlConfig', 'CreateFunction', 'UpdateFunctionCode', 'UpdateFunctionConfiguration', 'PublishLayerVersion', 'CreateEventSourceMapping') THEN 'function'
            WHEN event_source = 'events.amazonaws.com' AND event_name IN ('PutRule', 'PutTargets', 'CreateApiDestination', 'CreateEventBus', 'PutPermission') THEN 'event rule'
            WHEN event_source = 'scheduler.amazonaws.com' AND event_name IN ('CreateSchedule', 'UpdateSchedule') THEN 'schedule'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('ImportKeyPair', 'CreateKeyPair') THEN 'key pair'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name = 'ModifyInstanceAttribute' AND request LIKE '%"userData"%' THEN 'user data'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('RunInstances', 'RequestSpotInstances', 'CreateLaunchTemplateVersion') THEN 'instance'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('AuthorizeSecurityGroupIngress', 'ModifySecurityGroupRules') THEN 'open port'
            WHEN event_source = 'kms.amazonaws.com' AND event_name IN ('CreateGrant', 'PutKeyPolicy') THEN 'key grant'
            WHEN event_source = 'ssm.amazonaws.com' AND event_name IN ('CreateAssociation', 'CreateDocument', 'UpdateDocument', 'CreateActivation', 'UpdateAssociation') THEN 'systems manager'
            WHEN event_source = 'cloudformation.amazonaws.com' AND event_name IN ('CreateStackSet', 'CreateStack', 'RegisterType') THEN 'stack'
            WHEN event_source = 'sso.amazonaws.com' AND event_name IN ('CreateAccountAssignment', 'CreatePermissionSet', 'AttachManagedPolicyToPermissionSet', 'PutInlinePolicyToPermissionSet') THEN 'SSO assignment'
            WHEN event_source = 'organizations.amazonaws.com' AND event_name IN ('CreateAccount', 'InviteAccountToOrganization', 'LeaveOrganization') THEN 'account'
        END AS what
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
),
named AS (
    SELECT
        acts.*,
        COALESCE(
            minted_key, json_extract_scalar(request, '$.userName'), json_extract_scalar(request, '$.roleName'), json_extract_scalar(request, '$.functionName'),
            json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.keyName'), json_extract_scalar(request, '$.keyId'),
            json_extract_scalar(request, '$.instanceId'), json_extract_scalar(request, '$.groupId'), json_extract_scalar(request, '$.stackName')
        ) AS one_thing,
        -- one call starts as many machines as it asks for
        filter(transform(TRY_CAST(json_extract(response, '$.instancesSet.items') AS ARRAY(JSON)), one -> json_extract_scalar(one, '$.instanceId')), one -> one IS NOT NULL) AS instances
    FROM acts
    WHERE what IS NOT NULL
)
SELECT
    event_time, event_id, account_id, region, principal, access_key_id, source_ip, user_agent_family, invoked_by, event_source, event_name, what, thing.made,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    request
FROM named
CROSS JOIN UNNEST(CASE WHEN cardinality(instances) > 0 THEN instances ELSE ARRAY[one_thing] END) AS thing (made)
ORDER BY event_time, event_id, thing.made
