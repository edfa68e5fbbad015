// The official Fabric Gateway SDK: one submit, one evaluate; prints JSON.
//
//     node client.mjs PROFILE PEER USER
//
// Everything it needs comes from a connection profile as `consortium profile` writes it.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import { connect, hash, signers } from '@hyperledger/fabric-gateway';

const [profilePath, peerName, userName, chaincode] = process.argv.slice(2);
const profile = JSON.parse(readFileSync(profilePath, 'utf8'));
const peer = profile.peers[peerName];
const organisation = profile.organizations[profile.client.organization];
const user = organisation.users[userName];

const credentials = grpc.credentials.createSsl(
  readFileSync(peer.tlsCACerts.path),
  readFileSync(peer.clientKey.path),
  readFileSync(peer.clientCert.path),
);
const client = new grpc.Client(peer.url, credentials, {
  'grpc.ssl_target_name_override': peer.grpcOptions['grpc.ssl_target_name_override'],
});
const gateway = connect({
  client,
  identity: { mspId: organisation.mspid, credentials: readFileSync(user.cert) },
  signer: signers.newPrivateKeySigner(createPrivateKey(readFileSync(user.private_key))),
  hash: hash.sha256,
});
try {
  const contract = gateway.getNetwork(profile.name).getContract(chaincode);
  const written = await contract.submitTransaction('put', 'node', 'wrote');
  const read = await contract.evaluateTransaction('get', 'node');
  const text = new TextDecoder();
  console.log(JSON.stringify({ written: text.decode(written), read: text.decode(read) }));
} finally {
  gateway.close();
  client.close();
}
