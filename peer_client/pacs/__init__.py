"""From an export of a PACS to a data folder.

Files are looked at one by one, sorted into series, one axial CT reconstruction of each study is
chosen, and patients get keyed pseudonyms. Nothing is sent anywhere.
"""
