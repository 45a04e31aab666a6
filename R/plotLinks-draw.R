# The strokes of plotLinks(), on base graphics: x in base pairs, y from 0 (where arcs
# stand) to 1 (the highest).

# Those of isthmus.pl.links in Python.
.linkColours <- c("#F6B78A", "#E2581E", "#A31C04")
.lossColours <- c("#C4D3E6", "#7C9CC4", "#37598C") # of scores below 0
.inkColour <- "#3B3B3B"

# Between 0 and 1: how strong a link is.
.strength <- function(score, limit) {
    if (is.null(limit)) limit <- max(abs(score), 1e-9)
    pmin(abs(score) / limit, 1)
}

.strengthColour <- function(score, limit) {
    share <- .strength(score, limit)
    ramp <- function(colours) grDevices::rgb(grDevices::colorRamp(colours)(share), maxColorValue = 255)
    if (!length(share)) character() else ifelse(score < 0, ramp(.lossColours), ramp(.linkColours))
}

# Half an ellipse over each link; the widest in view is the highest.
.drawArcs <- function(shown, view, limit) {
    made <- S4Vectors::mcols(shown)
    left <- GenomicRanges::start(shown)
    right <- GenomicRanges::end(shown)
    height <- ((right - left) / max(right - left, 1))^0.6 * 0.95
    colour <- .strengthColour(made$score, limit)
    width <- 0.8 + 2.4 * .strength(made$score, limit)
    angle <- seq(0, pi, length.out = 101)
    graphics::segments(view$start, 0, view$end, 0, col = "#D5D5D5")
    for (i in seq_along(shown)) {
        graphics::lines(
            (left[i] + right[i]) / 2 - cos(angle) * (right[i] - left[i]) / 2,
            sin(angle) * height[i], col = colour[i], lwd = width[i], lend = "butt"
        )
    }
    graphics::mtext("links", 2, line = 0.6, at = 0.5, las = 1, cex = 0.85, col = .inkColour)
}

.drawPeaks <- function(shown, view, y) {
    made <- S4Vectors::mcols(shown)
    # Too narrow to be seen, a peak is drawn as wide as a stroke.
    least <- (view$end - view$start) / 400
    middle <- (made$peak_start + made$peak_end) / 2
    half <- pmax((made$peak_end - made$peak_start) / 2, least / 2)
    graphics::rect(middle - half, y - 0.035, middle + half, y + 0.035, col = "#2F6FB0", border = NA)
    graphics::mtext("peaks", 2, line = 0.6, at = y, las = 1, cex = 0.85, col = .inkColour)
}

.drawGenes <- function(bodies, view, y, gene) {
    graphics::mtext("genes", 2, line = 0.6, at = y, las = 1, cex = 0.85, col = .inkColour)
    if (!nrow(bodies)) {
        return(invisible(NULL))
    }
    span <- view$end - view$start
    y <- y - 0.15 * (bodies$row - 1)
    left <- pmax(bodies$start, view$start)
    right <- pmin(bodies$end, view$end)
    mine <- .isGene(bodies, gene)
    colour <- ifelse(mine | is.null(gene), .inkColour, "#9A9A9A")
    graphics::segments(left, y, right, y, col = colour, lwd = 3.5, lend = "butt")
    .drawStarts(bodies, y, colour, view, span)
    place <- match(bodies$side, c("left", "above", "right"))
    graphics::text(
        cbind(left, (left + right) / 2, right)[cbind(seq_along(y), place)], y, bodies$name,
        pos = c(2, 3, 4)[place], offset = 0.4, cex = 0.75, font = ifelse(mine, 4, 3), col = colour
    )
}

# A bent arrow where transcription starts, and the way that it goes.
.drawStarts <- function(bodies, y, colour, view, span) {
    tss <- ifelse(bodies$strand == "-", bodies$end, bodies$start)
    seen <- bodies$strand %in% c("+", "-") & tss >= view$start & tss <= view$end
    if (!any(seen)) {
        return(invisible(NULL))
    }
    tip <- tss + ifelse(bodies$strand == "-", -0.022, 0.022) * span
    graphics::segments(tss[seen], y[seen], tss[seen], y[seen] + 0.075, col = colour[seen], lwd = 1.4)
    graphics::arrows(
        tss[seen], y[seen] + 0.075, tip[seen], y[seen] + 0.075,
        length = 0.045, col = colour[seen], lwd = 1.4
    )
}

.drawAxis <- function(view) {
    ticks <- pretty(c(view$start, view$end), 6)
    ticks <- ticks[ticks >= view$start & ticks <= view$end]
    unit <- if (view$end - view$start > 2e5 || view$start > 1e6) 1e6 else 1e3
    digits <- max(0, ceiling(-log10(min(diff(ticks)) / unit)))
    graphics::axis(
        1, at = ticks, labels = formatC(ticks / unit, format = "f", digits = digits, big.mark = ","),
        cex.axis = 0.8, col = "#9A9A9A", col.axis = .inkColour
    )
    graphics::title(
        xlab = sprintf("%s (%s)", view$chrom, if (unit == 1e6) "Mb" else "kb"),
        cex.lab = 0.85, col.lab = .inkColour
    )
}

# Scores in the upper right corner, as the arcs are drawn.
.drawLegend <- function(shown, limit) {
    score <- S4Vectors::mcols(shown)$score
    if (is.null(limit)) limit <- max(abs(score), 1e-9)
    steps <- signif(limit * c(1, 2, 3) / 3, 2)
    if (any(score < 0)) steps <- c(-steps[3], steps)
    corner <- graphics::par("usr")[c(2, 4)]
    draw <- function(y, plot) {
        graphics::legend(
            corner[1], y, legend = format(steps), title = "score", horiz = TRUE, bty = "n", cex = 0.75,
            col = .strengthColour(steps, limit), lwd = 0.8 + 2.4 * .strength(steps, limit), xjust = 1,
            xpd = NA, seg.len = 1.4, text.col = .inkColour, title.col = .inkColour, plot = plot
        )
    }
    # It stands on the upper edge, however high the picture is.
    draw(corner[2] + draw(corner[2], FALSE)$rect$h, TRUE)
}
