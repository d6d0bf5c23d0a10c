package browsertest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// rgb is linear light, 0…1.
type rgb [3]float64

func parse(t *testing.T, hex string) (c rgb) {
	t.Helper()
	require.Len(t, hex, 7, hex)
	for i := range c {
		v, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err, hex)
		s := float64(v) / 255
		if c[i] = s / 12.92; s > 0.04045 {
			c[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return c
}

func (c rgb) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// contrast is that of WCAG 2.2.
func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

// visions are matrices for linear light: Machado, Oliveira and Fernandes (2009),
// severity 1.
var visions = map[string][3]rgb{
	"all colours":  {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func (c rgb) seen(m [3]rgb) (out rgb) {
	for i, row := range m {
		out[i] = math.Min(math.Max(row[0]*c[0]+row[1]*c[1]+row[2]*c[2], 0), 1)
	}
	return out
}

// lab is CIE L*a*b* under D65.
func (c rgb) lab() [3]float64 {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*c[0] + 0.3575761*c[1] + 0.1804375*c[2]) / 0.95047)
	y := f(0.2126729*c[0] + 0.7151522*c[1] + 0.0721750*c[2])
	z := f((0.0193339*c[0] + 0.1191920*c[1] + 0.9503041*c[2]) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// apart is the distance of two colours, CIE 1976: 2.3 is just noticeable.
func apart(a, b rgb) float64 {
	p, q := a.lab(), b.lab()
	return math.Sqrt((p[0]-q[0])*(p[0]-q[0]) + (p[1]-q[1])*(p[1]-q[1]) + (p[2]-q[2])*(p[2]-q[2]))
}

// Outcomes and percentiles stand out from the surface, and from each other for
// people who see fewer colours.
func TestColoursCanBeToldApart(t *testing.T) {
	for _, l := range looks[2:] {
		b := open(t, l, file(t, "colours", plain(t)))
		colors := eval[map[string]string](b, `(() => {
			const style = getComputedStyle(document.documentElement), all = {};
			const names = ["surface", "p50", "p95", "p99", "input", "output", "cost", "fault-bar", "burst-bar", "anomaly-bar", "circuit-bar"];
			for (const o of ["success", "rate-limited", "capacity-error", "server-error", "client-error", "connection-error", "malformed", "cancelled", "circuit-open", "other-error"]) names.push("outcome-" + o);
			for (const n of names) all[n] = style.getPropertyValue("--" + n).trim();
			return all;
		})()`)
		surface := parse(t, colors["surface"])
		for name, hex := range colors {
			if name != "surface" {
				require.GreaterOrEqual(t, contrast(parse(t, hex), surface), 3.0, "%s: %s", l.theme, name)
			}
		}
		groups := [][]string{{"p50", "p95", "p99"}, {"input", "output"}, nil}
		for name := range colors {
			if len(name) > 8 && name[:8] == "outcome-" {
				groups[2] = append(groups[2], name)
			}
		}
		for vision, m := range visions {
			for _, group := range groups {
				for i, x := range group {
					for _, y := range group[:i] {
						require.Greater(t, apart(parse(t, colors[x]).seen(m), parse(t, colors[y]).seen(m)), 12.0, "%s, %s: %s and %s", l.theme, vision, x, y)
					}
				}
			}
		}
	}
}

// The names in bars can be read, in the pale ones of what is expected, too.
func TestNamesInBarsCanBeRead(t *testing.T) {
	var m object
	require.NoError(t, json.Unmarshal(plain(t), &m))
	expected := m["picks"].([]any)[0].(object)["anomalies"].(object)["rows"].([]any)[0].(object)
	expected["end"] = expected["end"].(float64) + 600 // room for a name
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	for _, l := range looks[2:] {
		b := open(t, l, file(t, "bars", raw))
		opacities := map[float64]int{}
		for _, bar := range eval[[]struct {
			Ink, Fill, Surface string
			Opacity            float64
		}](b, `echarts.getInstanceByDom(document.querySelector("#happenings-chart")).getZr().storage.getDisplayList()
			.filter((e) => e.type === "rect" && e.getTextContent())
			.map((e) => ({
				Ink: e.getTextContent().style.fill, Fill: e.style.fill, Opacity: e.style.opacity,
				Surface: getComputedStyle(document.documentElement).getPropertyValue("--surface").trim(),
			}))`) {
			opacities[bar.Opacity]++
			// Transparency mixes what is stored, not light.
			mixed := "#"
			for i := 1; i < 7; i += 2 {
				over, err := strconv.ParseUint(bar.Fill[i:i+2], 16, 8)
				require.NoError(t, err)
				under, err := strconv.ParseUint(bar.Surface[i:i+2], 16, 8)
				require.NoError(t, err)
				mixed += fmt.Sprintf("%02x", int(bar.Opacity*float64(over)+(1-bar.Opacity)*float64(under)))
			}
			require.GreaterOrEqual(t, contrast(parse(t, bar.Ink), parse(t, mixed)), 4.5, "%s: %+v", l.theme, bar)
		}
		require.Len(t, opacities, 2, "pale ones, and others")
		b.quiet()
	}
}
