"""Types that only set something up for a resource that is billed by itself."""

from __future__ import annotations

from cost.estimate.registry import free

_AWS = """
autoscaling: policy lifecycleHook schedule attachment tag notification
s3: bucketObject bucketObjectv2 objectCopy accessPoint inventory analyticsConfiguration
ec2: vpcPeeringConnection peeringConnectionOptions tag defaultVpc defaultSubnet defaultNetworkAcl
 defaultVpcDhcpOptions vpcEndpointPolicy vpcEndpointConnection subnetCidrReservation
 networkInterfaceSecurityGroupAttachment
ebs: defaultKmsKey encryptionByDefault snapshotBlockPublicAccess
lambda: functionUrl functionEventInvokeConfig layerVersionPermission runtimeManagementConfig
 codeSigningConfig resourcePolicy
glue: catalogTable partition connection trigger workflow securityConfiguration resourcePolicy
 classifier dataCatalogEncryptionSettings
sagemaker: modelPackageGroupPolicy image imageVersion appImageConfig studioLifecycleConfig project
 codeRepository notebookInstanceLifecycleConfiguration
route53: resolverRule resolverRuleAssociation zoneAssociation vpcAssociationAuthorization
 delegationSet
ec2transitgateway: defaultRouteTable peeringAttachmentAccepter vpcAttachmentAccepter
dynamodb: resourcePolicy tag
ecr: accountSetting repositoryCreationTemplate
cloudwatch: logDataProtectionPolicy logSubscriptionFilter logDestination logAccountPolicy
 eventPermission eventBusPolicy eventConnection
amp: queryLoggingConfiguration resourcePolicy scraperLoggingConfiguration workspaceConfiguration
grafana: licenseAssociation workspaceSamlConfiguration workspaceServiceAccount
lb: trustStore
msk: vpcConnection
s3tables: tablePolicy
"""
_GCP = """
compute: regionUrlMap regionTargetHttpProxy regionTargetHttpsProxy regionHealthCheck
 regionSslCertificate sSLCertificate sSLPolicy regionSslPolicy targetPool
 targetTCPProxy regionTargetTcpProxy networkFirewallPolicy regionNetworkFirewallPolicy
 networkPeeringRoutesConfig projectMetadata projectMetadataItem instanceGroup: instanceGroupNamedPort
 autoscaler regionAutoscaler backendBucket: vPNGateway regionNetworkEndpointGroup
 networkEndpoint attachedDisk diskResourcePolicyAttachment interconnectGroup
bigtable: table: appProfile gCPolicy
vertex: aiFeatureOnlineStoreFeatureview
composer: userWorkloads
monitoring: metricDescriptor group genericService monitoredProject
dns: policy responsePolicy
logging: projectExclusion projectBucketConfig logView logScope
secretmanager: regionalSecretVersion
storage: bucketACL bucketAccessControl managedFolder folder objectACL hmacKey
memorystore: instanceDesiredUserCreatedEndpoints
redis: clusterUserCreatedConnections
artifactregistry: projectConfig
"""
_AZURE = """
eventhub: DisasterRecoveryConfig
applicationinsights: Component Workbook MyWorkbook
netapp: CapacityPoolVolume CapacityPoolSnapshot BackupPolicy SnapshotPolicy
storage: FileShare Queue Table ObjectReplicationPolicy LocalUser StorageAccountStaticWebsite
machinelearningservices: BatchEndpoint BatchDeployment Connection CapabilityHost Datastore
 Component
app: Certificate ManagedCertificate DaprComponent ManagedEnvironmentsStorage
 ContainerAppsAuthConfig
redis: FirewallRule AccessPolicy PatchSchedule LinkedServer
redisenterprise: AccessPolicyAssignment
dns: RecordSet
monitor: ActivityLogAlert PrivateLinkScope
operationalinsights: LinkedService DataSource LinkedStorageAccount
containerservice: TrustedAccessRoleBinding IdentityBinding DeploymentSafeguard
containerregistry: ConnectedRegistry CredentialSet Task
compute: DiskEncryptionSet SshPublicKey DiskAccess
"""


def _names(table: str) -> list[tuple[str, str]]:
    """(module, beginning of a type) of a table; a colon ends a name that others begin with."""
    found: list[tuple[str, str]] = []
    module = ""
    for line in table.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            module = words.pop(0).rstrip(":")
        found += [(module, word) for word in words]
    return found


_WHY = "configuration of a service that is billed by itself"
free(_WHY, [f"aws:{module}/{name}" for module, name in _names(_AWS)])
free(_WHY, [f"gcp:{module}/{name}" for module, name in _names(_GCP)])
free(_WHY, [f"azure-native:{module}:{name.rstrip(':')}" for module, name in _names(_AZURE)])
free("billed with what it schedules", ["aws-native:batch:QuotaShare",
     "aws-native:sagemaker:ComputeQuota", "aws-native:sagemaker:InferenceComponent"])  # fmt: skip
