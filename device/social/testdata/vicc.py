# Runs vsmartcard's vicc, whose cards nobody here wrote, as Debian 12 packages it.
# Debian puts the module where Python does not look, calls PyCrypto by another
# name, and some cards still give text where Python 3 wants bytes. Nothing that
# a card answers is changed.
import runpy
import sys

sys.path.insert(0, "/usr/lib/python3/site-packages/virtualsmartcard")

import Cryptodome

sys.modules["Crypto"] = Cryptodome

import virtualsmartcard.VirtualSmartcard as card

send = card.VirtualICC._VirtualICC__sendToVPICC
card.VirtualICC._VirtualICC__sendToVPICC = lambda self, msg: send(
    self, msg.encode("latin-1") if isinstance(msg, str) else msg)

import virtualsmartcard.cards.Relay as relay

relay.map = lambda f, items: [i if f is ord and isinstance(i, int) else f(i) for i in items]

sys.argv = ["vicc"] + sys.argv[1:]
runpy.run_path("/usr/bin/vicc", run_name="__main__")
