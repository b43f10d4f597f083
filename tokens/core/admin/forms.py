"""What the admin asks of operators."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from tokens.core.times import later


class NetworksField(forms.CharField):
    """Networks, with commas between them; a list for the service. The model's validators say what is none."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        """The list as text."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The text as a list."""
        return [part.strip() for part in str(value or "").split(",") if part.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the networks differ, whatever blanks are between them."""
        return bool(self.to_python(data) != (initial or []))


def remembering(form: Any) -> Any:
    """The class `form`, whose fields for a stored row send along what they showed, for `changes_in`."""
    for name, field in form.base_fields.items():
        if name not in form.declared_fields:  # those are of all forms of the class
            field.show_hidden_initial = True
    return form


def changes_in(form: Any) -> dict[str, Any]:
    """What somebody changed in a form that is `remembering`; what others changed meanwhile stays.

    Of rows that it relates to, those stored by now, with what was added to those it showed and without what was taken;
    until the transaction ends nobody else changes them.
    """
    changes = {name: form.cleaned_data[name] for name in form.changed_data}
    for name, chosen in changes.items():
        if isinstance(form.fields[name], forms.ModelMultipleChoiceField):
            shown, left = set(form.data.getlist(form.add_initial_prefix(name))), {str(one.pk) for one in chosen}
            row = type(form.instance)._default_manager.select_for_update(no_key=True).get(pk=form.instance.pk)
            stored = getattr(row, name).all()
            kept = [one for one in stored if str(one.pk) in left or str(one.pk) not in shown]
            changes[name] = [*kept, *(one for one in chosen if str(one.pk) not in shown)]
    return changes


class NothingForm(forms.Form):
    """For a verb that needs to know nothing."""


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="The audit log keeps it.",
    )


class GraceForm(forms.Form):
    """How long the old secret stays good."""

    GRACES = ((0, "It ends at once"), (1, "One hour"), (24, "One day"), (7 * 24, "One week"), (30 * 24, "30 days"))

    grace = forms.TypedChoiceField(
        label="The old secret stays good for",
        choices=GRACES,
        coerce=lambda hours: timedelta(hours=int(hours)),
        initial=24,
        widget=UnfoldAdminSelectWidget,
    )


class ExpiryForm(forms.Form):
    """When it shall end."""

    LENGTHS = ((7, "7 days from now"), (30, "30 days from now"), (90, "90 days from now"), (365, "A year from now"))

    days = forms.TypedChoiceField(
        label="Valid for", choices=LENGTHS, coerce=int, initial=30, required=False, widget=UnfoldAdminSelectWidget
    )
    expires_at = forms.SplitDateTimeField(
        label="Or until",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="UTC. If given, this moment counts.",
    )

    def clean(self) -> dict[str, Any]:
        """A moment, one way or the other, that lies ahead."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            data["expires_at"] = data.get("expires_at") or later(timezone.now(), timedelta(days=data.get("days") or 30))
            if data["expires_at"] <= timezone.now():
                self.add_error("expires_at", "That is in the past.")
        return data
