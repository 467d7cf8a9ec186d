// Live charts of a stream: draws what the kernel sends, and tells it where the slider stands. No library, no network.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 112;
// How long the kernel may take to answer before the page says so, ms.
const BUSY = 1500;
const MARGIN = { left: 42, right: 6, top: 8, bottom: 18 };

function add(parent, name, attributes = {}, text = "") {
    const svg = name === "svg" || parent.namespaceURI === SVG;
    const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    parent.append(made);
    return made;
}

// The next of 1, 2, 5, 10, 20, … that is not below.
function round(top) {
    const unit = 10 ** Math.floor(Math.log10(top));
    return [1, 2, 5, 10].map(step => step * unit).find(step => step >= top);
}

const figure = value => (value === null || value === undefined ? "–" : value.toFixed(1));

// One chart: a title, what its lines stand at, and the lines themselves against time.
class Chart {
    constructor(parent, setup, names, seconds) {
        this.setup = setup;
        this.seconds = seconds;
        this.columns = setup.lines.map(line => names.indexOf(line.measure) + 1);
        const box = add(parent, "figure");
        const head = add(box, "figcaption");
        add(head, "b", {}, setup.title);
        this.figures = setup.lines.map((line, place) => {
            const legend = add(head, "span", { class: `legend line${place}`, title: `${line.label}: ${line.meaning}` });
            add(legend, "i");
            add(legend, "span", {}, `${line.label} `);
            return add(legend, "b");
        });
        this.svg = add(box, "svg", { role: "img", height: HEIGHT });
        this.grid = add(this.svg, "g", { class: "grid" });
        this.area = add(this.svg, "path", { class: "area" });
        this.lines = setup.lines.map((_, place) => add(this.svg, "path", { class: `line line${place}` }));
    }

    draw(samples) {
        const width = this.svg.clientWidth;
        if (!width) return;
        const { bottom, unit, title, lines } = this.setup;
        const now = samples.length ? samples.at(-1)[0] : 0;
        const seen = samples.filter(sample => sample[0] >= now - this.seconds);
        const most = Math.max(...seen.flatMap(sample => this.columns.map(column => sample[column] ?? bottom)));
        const top = most > this.setup.top ? round(most) : this.setup.top;
        const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
        const x = at => MARGIN.left + inner.width * (1 + (at - now) / this.seconds);
        const y = value => {
            const part = Math.min(1, Math.max(0, (value - bottom) / (top - bottom)));
            return MARGIN.top + inner.height * (1 - part);
        };
        this.axes(x, y, now, top, width);
        const paths = this.columns.map(column => {
            let path = "";
            let pen = "M";
            for (const sample of seen) {
                const value = sample[column];
                if (value !== null) path += `${pen}${x(sample[0]).toFixed(1)} ${y(value).toFixed(1)}`;
                pen = value === null ? "M" : "L";
            }
            return path;
        });
        paths.forEach((path, place) => this.lines[place].setAttribute("d", path));
        const known = seen.filter(sample => sample[this.columns[0]] !== null);
        const whole = known.length > 1 && known.length === seen.length;
        const ground = whole ? `L${x(now).toFixed(1)} ${y(bottom)}L${x(seen[0][0]).toFixed(1)} ${y(bottom)}Z` : "";
        this.area.setAttribute("d", whole ? paths[0] + ground : "");
        const last = samples.at(-1) ?? [];
        const words = lines.map((line, place) => {
            this.figures[place].textContent = `${figure(last[this.columns[place]])} ${unit}`;
            return `${line.label} ${this.figures[place].textContent}`;
        });
        const axis = `the last ${this.seconds} seconds, from ${bottom} to ${top} ${unit}`;
        this.svg.setAttribute("aria-label", `${title}: ${words.join(", ")}; ${axis}`);
    }

    axes(x, y, now, top, width) {
        const { bottom, unit } = this.setup;
        const key = `${width} ${top}`;
        if (key === this.drawn) return;
        this.drawn = key;
        this.grid.replaceChildren();
        for (const value of [bottom, (bottom + top) / 2, top]) {
            const height = y(value);
            add(this.grid, "line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: height, y2: height });
            const text = `${Number(value.toFixed(1))}`;
            add(this.grid, "text", { x: MARGIN.left - 5, y: height + 3.5, "text-anchor": "end" }, text);
        }
        const place = HEIGHT - 5;
        add(this.grid, "text", { x: 2, y: (y(bottom) + y(top)) / 2 - 10, class: "unit" }, unit);
        const half = this.seconds / 2;
        add(this.grid, "text", { x: MARGIN.left, y: place }, `${this.seconds} s ago`);
        add(this.grid, "text", { x: x(now - half), y: place, "text-anchor": "middle" }, `${half} s`);
        add(this.grid, "text", { x: width - MARGIN.right, y: place, "text-anchor": "end" }, "now");
    }
}

// The server's delay: fixed where the slider is moved to, or following the network.
class Slider {
    constructor(parent, model, longest) {
        const row = add(parent, "div", { class: "delay" });
        const label = add(row, "label");
        add(label, "b", {}, "Delay ");
        this.range = add(label, "input", { type: "range", min: 0, max: longest, step: 5 });
        this.range.setAttribute("aria-label", "how long a packet is kept before it is played, milliseconds");
        this.shown = add(label, "output");
        const follow = add(row, "label");
        this.follows = add(follow, "input", { type: "checkbox" });
        follow.append(" follow the network");
        this.note = add(row, "span", { role: "status" });
        // What was moved is left alone until the kernel has heard of it, which it does between cells only.
        this.asked = null;
        const tell = delay => {
            this.asked = { number: crypto.getRandomValues(new Uint32Array(1))[0], at: performance.now() };
            this.note.textContent = "";
            this.show(delay, Number(this.range.value));
            model.send({ delay, number: this.asked.number });
        };
        this.range.addEventListener("input", () => {
            this.follows.checked = false;
            tell(Number(this.range.value));
        });
        this.follows.addEventListener("change", () => {
            tell(this.follows.checked ? null : Number(this.range.value));
        });
    }

    update(state, aim) {
        this.range.disabled = this.follows.disabled = !state.live;
        if (this.asked !== null && state.live) {
            if (performance.now() > this.asked.at + BUSY) this.note.textContent = "waits for the running cell to end";
            return;
        }
        const value = Math.round(state.fixed ?? aim ?? 0);
        this.range.value = value;
        this.follows.checked = state.fixed === null;
        this.show(state.fixed, value);
    }

    heard(message) {
        if (message.heard !== this.asked?.number) return;
        this.asked = null;
        this.note.textContent = message.error ?? "";
    }

    show(fixed, value) {
        this.shown.textContent = `${value} ms`;
        this.range.setAttribute("aria-valuetext", `${value} ms, ${fixed === null ? "following the network" : "fixed"}`);
    }
}

// Whether text is light here: the page's theme is dark then.
function isDark(element) {
    const colour = getComputedStyle(element).color;
    const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
    const scale = colour.startsWith("rgb") ? 255 : 1;
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / scale > 0.5;
}

function render({ model, el }) {
    const setup = model.get("setup");
    const root = add(el, "section", { class: "audiostream-watch", "aria-label": "live figures of a stream" });
    const head = add(root, "header");
    const title = add(head, "b");
    const live = add(head, "span", { class: "live", role: "status" });
    const grid = add(root, "div", { class: "charts" });
    const charts = setup.charts.map(chart => new Chart(grid, chart, setup.names, setup.seconds));
    const slider = setup.longest === null ? null : new Slider(root, model, setup.longest);
    const counts = add(root, "footer");
    const aim = setup.names.indexOf("aim") + 1;
    let samples = [...model.get("samples")];
    let state = model.get("state");

    const draw = () => {
        root.dataset.theme = isDark(root) ? "dark" : "light";
        root.dataset.live = state.live;
        title.textContent = state.title;
        counts.textContent = state.counts;
        const word = state.live ? "live" : "stopped";
        if (live.textContent !== word) live.textContent = word;
        charts.forEach(chart => chart.draw(samples));
        slider?.update(state, samples.at(-1)?.[aim]);
    };
    const hear = message => {
        if (message.heard !== undefined) slider?.heard(message);
        if (!message.sample) return;
        samples.push(message.sample);
        samples = samples.slice(-setup.seconds * 5);
        state = message.state;
        draw();
    };
    const catchUp = () => {
        samples = [...model.get("samples")];
        state = model.get("state");
        draw();
    };
    model.on("msg:custom", hear);
    model.on("change:samples", catchUp);
    model.on("change:state", catchUp);
    const size = new ResizeObserver(draw);
    size.observe(root);
    if (state.live) model.send({ want: "past" });
    return () => {
        size.disconnect();
        model.off("msg:custom", hear);
        model.off("change:samples", catchUp);
        model.off("change:state", catchUp);
    };
}

export default { render };
