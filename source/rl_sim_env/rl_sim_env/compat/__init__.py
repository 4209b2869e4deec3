"""What is reached inside other packages beyond their public names, and why.

A name may go with any release of its package. Here all of them stand together: one module for each
package gives those that can be imported, :mod:`~rl_sim_env.compat.members` lists the members of
classes. ``tests/test_compat.py`` holds the source to it and names what an upgrade has broken.
Nothing private of rsl_rl is used.
"""
