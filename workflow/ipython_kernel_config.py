"""Settings of every kernel in the environment that this project is installed in."""

c = get_config()  # noqa: F821
c.IPKernelApp.capture_fd_output = False  # TensorFlow greets on the process's own stderr, a red box in a notebook
