"""A page that runs a trained robot in any browser: MuJoCo and onnxruntime as WebAssembly.

What Python knows it writes down (``scene.py``); what the page does is in ``page/``, plain modules
that a browser and Node read as they are.
"""
