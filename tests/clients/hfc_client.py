"""fabric-sdk-py through a connection profile: a block, a query, a transaction; prints JSON.

    python hfc_client.py PROFILE CHANNEL CHAINCODE ORGANISATION USER PEER ENDORSER...

Runs in an environment of its own (hfc.txt), with nothing of this project.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings

warnings.filterwarnings("ignore")
from hfc.fabric import Client  # noqa: E402


async def run(
    profile: str, channel: str, chaincode: str, organisation: str, user: str, peers: list[str]
) -> dict[str, object]:
    """Do the three things a client does."""
    client = Client(net_profile=profile)
    client.new_channel(channel)
    who = {"requestor": client.get_user(organisation, user), "channel_name": channel}
    own = [client.get_peer(peers[0])]
    block = await client.query_block(peers=own, block_number="1", decode=True, **who)
    written = await client.chaincode_invoke(
        peers=[client.get_peer(name) for name in peers],
        args=["hfc", "wrote"],
        fcn="put",
        cc_name=chaincode,
        wait_for_event=True,
        wait_for_event_timeout=100,
        **who,
    )
    read = await client.chaincode_query(
        peers=own, args=["hfc"], fcn="get", cc_name=chaincode, **who
    )
    return {"block": block["header"]["number"], "written": written, "read": read}


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    profile, channel, chaincode, organisation, user, *peers = sys.argv[1:]
    found = loop.run_until_complete(
        asyncio.wait_for(run(profile, channel, chaincode, organisation, user, peers), 90)
    )
    print(json.dumps(found))
