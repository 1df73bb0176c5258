`rvgahp map METHOD PRINCIPAL --file PATH` shows which canonical name one of HTCondor's map files
(`CERTIFICATE_MAPFILE`) gives an identity, and by which line. A map file with a line that is not
understood is refused as a whole, and no principal, however long, keeps a pattern busy. A daemon takes no map file that others than its owner can write.
