-- question: Who gained rights: by policies, trust, groups, passed roles, others' keys and passwords?
-- why: rights are what an attacker adds first; iam:PassRole is no event, so a role passed is seen only where it is used
-- technique: T1098.003
-- false positives: infrastructure as code by pipelines; an administrator's own work: compare with the baseline
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('AttachUserPolicy', 'AttachRolePolicy', 'AttachGroupPolicy') THEN 'policy attached'
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('PutUserPolicy', 'PutRolePolicy', 'PutGroupPolicy') THEN 'inline policy written'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'CreatePolicyVersion' AND json_extract_scalar(request, '$.setAsDefault') = 'true' THEN 'policy changed'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'SetDefaultPolicyVersion' THEN 'policy version switched'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'AddUserToGroup' THEN 'user added to group'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'UpdateAssumeRolePolicy' THEN 'trust changed'
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('DeleteRolePermissionsBoundary', 'DeleteUserPermissionsBoundary', 'PutRolePermissionsBoundary', 'PutUserPermissionsBoundary') THEN 'boundary changed'
            WHEN event_source = 'iam.amazonaws.com' AND event_name IN ('CreateAccessKey', 'CreateLoginProfile', 'UpdateLoginProfile') AND minted_principal <> principal THEN 'another user''s credential'
            WHEN event_source = 'iam.amazonaws.com' AND event_name = 'AddRoleToInstanceProfile' THEN 'role passed'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name = 'RunInstances' AND request LIKE '%"iamInstanceProfile"%' THEN 'role passed'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('AssociateIamInstanceProfile', 'ReplaceIamInstanceProfileAssociation') THEN 'role passed'
            WHEN event_source = 'lambda.amazonaws.com' AND event_name = 'CreateFunction' THEN 'role passed'
            WHEN event_source = 'lambda.amazonaws.com' AND event_name = 'UpdateFunctionConfiguration' AND json_extract_scalar(request, '$.role') IS NOT NULL THEN 'role passed'
            WHEN event_source = 'cloudformation.amazonaws.com' AND event_name IN ('CreateStack', 'UpdateStack', 'CreateChangeSet') AND json_extract_scalar(request, '$.roleARN') IS NOT NULL THEN 'role passed'
            WHEN event_source = 'glue.amazonaws.com' AND event_name IN ('CreateDevEndpoint', 'CreateJob', 'UpdateJob') THEN 'role passed'
            WHEN event_source IN ('sagemaker.amazonaws.com', 'ecs.amazonaws.com', 'codebuild.amazonaws.com', 'datapipeline.amazonaws.com') AND event_name IN ('CreateNotebookInstance', 'RegisterTaskDefinition', 'CreateProject', 'UpdateProject', 'PutPipelineDefinition') THEN 'role passed'
        END AS how
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
)
SELECT
    event_time, event_id, account_id, region, principal, access_key_id, source_ip, user_agent_family, event_source, event_name, how,
    COALESCE(
        json_extract_scalar(request, '$.roleName'), json_extract_scalar(request, '$.userName'), json_extract_scalar(request, '$.groupName'),
        json_extract_scalar(request, '$.policyArn'), json_extract_scalar(request, '$.role'), json_extract_scalar(request, '$.roleARN'),
        json_extract_scalar(request, '$.iamInstanceProfile.arn'), json_extract_scalar(request, '$.iamInstanceProfile.name')
    ) AS target,
    COALESCE(json_extract_scalar(request, '$.policyArn'), json_extract_scalar(request, '$.policyName')) AS policy,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    request
FROM acts
WHERE how IS NOT NULL
ORDER BY event_time, event_id
