"""Image classification. The sandbox can't see: its labels say what the file's header says."""

from sandbox.workers_ai.bodies import Body
from sandbox.workers_ai.errors import InvalidInputError
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.images.headers import read_header
from sandbox.workers_ai.one_piece import Call, Outcome

HEADER_FINGERPRINT = "sandbox-image-header"


async def classify_image(call: Call) -> Outcome:
    """Bytes or `{"image": […]}`. A directive's `text` is the first label."""
    image = image_of(call.body)
    header = read_header(image)
    if header is None and call.directive.text is None:
        raise InvalidInputError("Invalid input: cannot identify image file")
    labels = ["THE SANDBOX HAS NO EYES"]
    if header is not None:
        labels.insert(0, f"{header.form.upper()} FILE")
        if header.size is not None:
            labels.insert(1, f"{header.size[0]} BY {header.size[1]} PIXELS")
    if call.directive.text is not None:
        labels.insert(0, call.directive.text)
    result = [{"label": label, "score": round(0.6 / 2**i, 4)} for i, label in enumerate(labels)]
    neurons = call.neurons({"images": 1})
    return Outcome(source=HEADER_FINGERPRINT, result=result, neurons=neurons)


def image_of(body: Body) -> bytes:
    if body.is_raw:
        return body.content
    fields = Fields(body.fields)
    fields.require("image")
    image = fields.byte_list("image") if "image" in fields.raw else b""
    fields.refuse_wrong()
    return image
