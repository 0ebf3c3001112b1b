-- question: Which logging and detection was stopped, narrowed or silenced, or was meant to be?
-- why: what is switched off shows what was meant to stay unseen; an attempt that was denied or failed (outcome, error_code) shows the intent as well
-- technique: T1685 (formerly T1562)
-- false positives: decommissioning; a pipeline that replaces a rule; retention set by policy; a clean-up that fails because there is nothing to stop
WITH acts AS (
    SELECT
        events.*,
        CASE event_source
            WHEN 'cloudtrail.amazonaws.com' THEN CASE
                WHEN event_name IN ('StopLogging', 'DeleteTrail') THEN 'trail stopped'
                WHEN event_name IN ('UpdateTrail', 'PutEventSelectors', 'PutInsightSelectors', 'PutEventConfiguration') THEN 'trail changed'
                WHEN event_name IN ('DeleteEventDataStore', 'StopEventDataStoreIngestion', 'UpdateEventDataStore', 'DeleteChannel', 'DeregisterOrganizationDelegatedAdmin') THEN 'event data store changed'
            END
            WHEN 'guardduty.amazonaws.com' THEN CASE
                WHEN event_name IN ('DeleteDetector', 'DisassociateFromAdministratorAccount', 'DisassociateFromMasterAccount', 'StopMonitoringMembers', 'DisassociateMembers', 'DeleteMembers') THEN 'detection stopped'
                -- switched back on is no impairment; features and frequency may be
                WHEN event_name = 'UpdateDetector' AND COALESCE(json_extract_scalar(request, '$.enable'), 'false') <> 'true' THEN 'detection changed'
                -- the record of a refused call may leave out what was asked for
                WHEN event_name IN ('CreateFilter', 'UpdateFilter') AND (request IS NULL OR json_extract_scalar(request, '$.action') = 'ARCHIVE') THEN 'findings hidden'
                WHEN event_name IN ('CreateIPSet', 'UpdateIPSet', 'ArchiveFindings', 'DeletePublishingDestination', 'UpdatePublishingDestination', 'DeleteThreatIntelSet') THEN 'findings hidden'
            END
            WHEN 'config.amazonaws.com' THEN CASE
                WHEN event_name IN ('StopConfigurationRecorder', 'DeleteConfigurationRecorder', 'DeleteDeliveryChannel', 'DeleteConfigRule', 'DeleteOrganizationConfigRule', 'DeleteConfigurationAggregator', 'PutConfigurationRecorder', 'DeleteRetentionConfiguration') THEN 'configuration history stopped'
            END
            WHEN 'securityhub.amazonaws.com' THEN CASE
                WHEN event_name IN ('DisableSecurityHub', 'DeleteInsight', 'BatchDisableStandards', 'DisassociateFromAdministratorAccount', 'DeleteActionTarget', 'UpdateStandardsControl') THEN 'findings stopped'
                WHEN event_name IN ('BatchUpdateFindings', 'CreateAutomationRule') AND (request IS NULL OR request LIKE '%"SUPPRESSED"%') THEN 'findings hidden'
            END
            WHEN 'ec2.amazonaws.com' THEN CASE WHEN event_name = 'DeleteFlowLogs' THEN 'flow logs deleted' END
            WHEN 'logs.amazonaws.com' THEN CASE
                WHEN event_name IN ('DeleteLogGroup', 'DeleteLogStream', 'PutRetentionPolicy', 'DeleteSubscriptionFilter', 'DeleteMetricFilter', 'DeleteDestination') THEN 'logs deleted'
            END
            WHEN 'monitoring.amazonaws.com' THEN CASE WHEN event_name IN ('DeleteAlarms', 'DisableAlarmActions') THEN 'alarms off' END
            WHEN 'events.amazonaws.com' THEN CASE WHEN event_name IN ('DisableRule', 'DeleteRule', 'RemoveTargets') THEN 'alarms off' END
            WHEN 'sns.amazonaws.com' THEN CASE WHEN event_name IN ('Unsubscribe', 'DeleteTopic') THEN 'alarms off' END
            WHEN 'route53resolver.amazonaws.com' THEN CASE WHEN event_name IN ('DeleteResolverQueryLogConfig', 'DisassociateResolverQueryLogConfig') THEN 'query logs stopped' END
            WHEN 'wafv2.amazonaws.com' THEN CASE WHEN event_name IN ('DeleteLoggingConfiguration', 'DeleteWebACL', 'DisassociateWebACL', 'DeleteRuleGroup', 'DeleteIPSet') THEN 'web firewall changed' END
            WHEN 'bedrock.amazonaws.com' THEN CASE WHEN event_name = 'DeleteModelInvocationLoggingConfiguration' THEN 'model logs stopped' END
            WHEN 'access-analyzer.amazonaws.com' THEN CASE WHEN event_name IN ('DeleteAnalyzer', 'CreateArchiveRule') THEN 'findings stopped' END
            WHEN 'macie2.amazonaws.com' THEN CASE WHEN event_name IN ('DisableMacie', 'CreateFindingsFilter') THEN 'findings stopped' END
            WHEN 'inspector2.amazonaws.com' THEN CASE WHEN event_name IN ('Disable', 'CreateFilter', 'DisassociateMember') THEN 'findings stopped' END
            WHEN 'detective.amazonaws.com' THEN CASE WHEN event_name IN ('DeleteGraph', 'DeleteMembers') THEN 'findings stopped' END
            WHEN 'organizations.amazonaws.com' THEN CASE WHEN event_name IN ('DisablePolicyType', 'DetachPolicy', 'DeletePolicy', 'LeaveOrganization', 'DisableAWSServiceAccess', 'DeregisterDelegatedAdministrator') THEN 'guard-rail removed' END
            WHEN 's3.amazonaws.com' THEN CASE
                WHEN event_name = 'PutBucketLogging' AND request NOT LIKE '%"LoggingEnabled"%' THEN 'access logs stopped'
                -- a log bucket's own name gives it away
                WHEN event_name IN ('DeleteBucket', 'PutBucketPolicy', 'DeleteBucketPolicy', 'PutBucketLifecycle', 'PutBucketLifecycleConfiguration', 'DeleteObjects', 'PutBucketEncryption', 'PutBucketVersioning')
                    AND regexp_like(json_extract_scalar(request, '$.bucketName'), '(?i)trail|log|audit|config') THEN 'log bucket changed'
            END
            WHEN 'kms.amazonaws.com' THEN CASE WHEN event_name IN ('DisableKey', 'ScheduleKeyDeletion') THEN 'key disabled' END
        END AS what
    FROM events
    WHERE event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
)
SELECT
    event_time, event_id, account_id, region, principal, access_key_id, source_ip, user_agent_family, invoked_by, event_source, event_name, what, outcome,
    COALESCE(
        json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.trailName'), json_extract_scalar(request, '$.eventDataStore'),
        json_extract_scalar(request, '$.detectorId'), json_extract_scalar(request, '$.configurationRecorderName'), json_extract_scalar(request, '$.logGroupName'),
        json_extract_scalar(request, '$.bucketName'), json_extract_scalar(request, '$.keyId'), json_extract_scalar(request, '$.policyId'),
        regexp_extract(error_message, ' on resource: (arn:\S+)', 1)
    ) AS target,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    error_code, request
FROM acts
WHERE what IS NOT NULL
ORDER BY event_time, event_id
