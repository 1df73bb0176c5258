"""
The kinds of GAHP that come with rvgahp; see L{rvgahp.igahp}.
"""

from rvgahp.gahpkinds import BatchGAHP, FileTransferGAHP

batchGAHP = BatchGAHP()
fileTransferGAHP = FileTransferGAHP()
