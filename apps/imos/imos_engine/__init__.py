"""iMOS: an object annotated on a few slices is carried through the rest of a volume or video.

The engine knows tensors and arrays, not servers. README.md beside this file draws its data flow and defines the shape
letters.
"""
