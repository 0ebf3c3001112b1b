-- question: Are resources used at the account's expense: machines, models, mail, quotas?
-- why: mining and model abuse cost thousands a day, in Regions that nobody watches
-- technique: T1496
-- false positives: scaling by services (invoked_by), training jobs and campaigns: compare with usual_events, the same calls in the baseline
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('RunInstances', 'RequestSpotInstances', 'RequestSpotFleet', 'CreateFleet', 'StartInstances') THEN 'machines'
            WHEN event_source = 'autoscaling.amazonaws.com' AND event_name IN ('CreateAutoScalingGroup', 'UpdateAutoScalingGroup', 'SetDesiredCapacity') THEN 'machines'
            WHEN event_source = 'lightsail.amazonaws.com' AND event_name = 'CreateInstances' THEN 'machines'
            WHEN event_source IN ('ecs.amazonaws.com', 'eks.amazonaws.com', 'batch.amazonaws.com') AND event_name IN ('CreateCluster', 'RegisterTaskDefinition', 'CreateService', 'RunTask', 'CreateNodegroup', 'SubmitJob', 'CreateComputeEnvironment') THEN 'containers'
            WHEN event_source = 'sagemaker.amazonaws.com' AND event_name IN ('CreateNotebookInstance', 'CreateTrainingJob', 'CreateProcessingJob', 'CreateEndpoint') THEN 'machine learning'
            WHEN event_source = 'bedrock.amazonaws.com' AND event_name IN ('CreateFoundationModelAgreement', 'PutFoundationModelEntitlement', 'PutUseCaseForModelAccess', 'InvokeModel', 'InvokeModelWithResponseStream', 'Converse', 'ConverseStream', 'CreateProvisionedModelThroughput') THEN 'models'
            WHEN event_source = 'servicequotas.amazonaws.com' AND event_name = 'RequestServiceQuotaIncrease' THEN 'quota'
            WHEN event_source = 'ses.amazonaws.com' AND event_name IN ('VerifyEmailIdentity', 'VerifyDomainIdentity', 'CreateEmailIdentity', 'UpdateAccountSendingEnabled', 'PutAccountDetails', 'PutAccountSendingAttributes', 'SendEmail', 'SendRawEmail', 'SendBulkEmail') THEN 'mail'
            WHEN event_source = 'sns.amazonaws.com' AND event_name IN ('SetSMSAttributes', 'CreateSMSSandboxPhoneNumber') THEN 'messages'
            WHEN event_source = 'account.amazonaws.com' AND event_name = 'EnableRegion' THEN 'Region'
        END AS what
    FROM events
    WHERE outcome IN ('ok', 'denied') AND event_time BETWEEN :baseline_start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
),
usual AS (
    SELECT principal, event_source, event_name, count(*) AS usual_events
    FROM acts
    WHERE what IS NOT NULL AND outcome = 'ok' AND event_time < :baseline_end
    GROUP BY principal, event_source, event_name
)
SELECT
    a.principal, a.access_key_id, a.account_id, a.region, a.what, a.event_source, a.event_name, a.invoked_by,
    -- a size of GPUs, or of the largest machines
    bool_or(COALESCE(regexp_like(json_extract_scalar(a.request, '$.instanceType'), '^(p|g|trn|inf|dl)\d|(8|9|12|16|18|24|32|48)xlarge|metal'), false)) AS large,
    array_agg(DISTINCT json_extract_scalar(a.request, '$.instanceType') ORDER BY json_extract_scalar(a.request, '$.instanceType')) FILTER (WHERE json_extract_scalar(a.request, '$.instanceType') IS NOT NULL) AS instance_types,
    sum(COALESCE(TRY_CAST(json_extract_scalar(a.request, '$.instancesSet.items[0].maxCount') AS bigint), 1)) AS asked_for,
    count_if(a.outcome = 'ok') AS ok, count_if(a.outcome = 'denied') AS denied, COALESCE(u.usual_events, 0) AS usual_events,
    CASE WHEN bool_or(contains(:keys, a.access_key_id)) THEN 'key' WHEN bool_or(contains(:principals, a.principal)) THEN 'principal' END AS suspect,
    min(a.event_time) AS first_seen, max(a.event_time) AS last_seen, slice(array_agg(a.event_id ORDER BY a.event_time, a.event_id), 1, 20) AS event_ids
FROM acts a
LEFT JOIN usual u ON u.principal = a.principal AND u.event_source = a.event_source AND u.event_name = a.event_name
WHERE a.what IS NOT NULL AND a.event_time >= :start
GROUP BY a.principal, a.access_key_id, a.account_id, a.region, a.what, a.event_source, a.event_name, a.invoked_by, u.usual_events
ORDER BY suspect, usual_events, first_seen, a.principal, a.region
