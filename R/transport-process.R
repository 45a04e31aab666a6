# Transport 2: a Python process of its own and a folder of plain HDF5. The way
# for large and HDF5-backed data, and wherever Python inside R does not work.

.callProcess <- function(verb, study, params) {
    python <- .findPython()
    folder <- tempfile("isthmus-exchange-", tmpdir = getOption("isthmus.exchange", tempdir()))
    dir.create(folder, recursive = TRUE)
    on.exit(unlink(folder, recursive = TRUE))
    .refuseNoHdf5()
    .writeRequest(folder, verb, study, params)
    child <- .startChild(python$path, folder)
    on.exit(.endChild(child), add = TRUE, after = FALSE)
    status <- .awaitChild(child)
    reply <- .readReply(folder)
    if (is.null(reply)) .stopDeadChild(status, child, python$path)
    reply
}

# Start Python in the background. A small shell keeps its process id and its
# exit status; a process in the background does not see the terminal's Ctrl-C,
# so R alone decides.
.startChild <- function(python, folder) {
    quoted <- function(name) shQuote(file.path(folder, name))
    script <- sprintf(
        "%s -m isthmus.bridge %s > %s 2>&1 < /dev/null & echo $! > %s; wait $!; echo $? > %s; mv %s %s",
        shQuote(python), shQuote(folder), quoted("log.txt"), quoted("pid"),
        quoted("status.part"), quoted("status.part"), quoted("status")
    )
    environment <- .cleanEnvironment(c(
        .pythonPath(), sprintf("ISTHMUS_PARENT=%d", Sys.getpid())
    ))
    system2(
        "sh", c("-c", shQuote(script)),
        env = environment, wait = FALSE, stdout = FALSE, stderr = FALSE
    )
    list(folder = folder, started = Sys.time())
}

# The core that this R package carries comes first.
.pythonPath <- function() {
    folders <- c(.pythonSources(), .nonEmpty(Sys.getenv("PYTHONPATH")))
    if (length(folders)) sprintf("PYTHONPATH=%s", shQuote(paste(folders, collapse = ":")))
}

# Show progress until the process has ended.
# @return its exit status; NA when it vanished without one.
.awaitChild <- function(child) {
    lines <- .lineReader(file.path(child$folder, "progress.txt"))
    status <- file.path(child$folder, "status")
    missed <- 0L
    pause <- 0.02
    repeat {
        ended <- file.exists(status)
        for (line in lines()) message(line)
        if (ended) {
            return(as.integer(readLines(status)))
        }
        # The shell writes the status a moment after the process has gone.
        missed <- if (.childAlive(child)) 0L else missed + 1L
        if (missed > 100L) {
            return(NA_integer_)
        }
        Sys.sleep(pause)
        pause <- min(pause * 1.2, 0.1)
    }
}

# Complete lines that were added to a file since the last look.
.lineReader <- function(path) {
    seen <- 0
    function() {
        size <- file.size(path)
        if (is.na(size) || size <= seen) {
            return(character())
        }
        connection <- file(path, "rb")
        on.exit(close(connection))
        seek(connection, seen)
        bytes <- readBin(connection, "raw", size - seen)
        ends <- which(bytes == as.raw(10L))
        if (!length(ends)) {
            return(character())
        }
        seen <<- seen + max(ends)
        text <- rawToChar(bytes[seq_len(max(ends))])
        Encoding(text) <- "UTF-8"
        strsplit(text, "\n", fixed = TRUE)[[1]]
    }
}

.childPid <- function(child) {
    path <- file.path(child$folder, "pid")
    pid <- if (file.exists(path)) suppressWarnings(as.integer(readLines(path, warn = FALSE)))
    if (length(pid) == 1L && !is.na(pid)) pid else NULL
}

.childAlive <- function(child) {
    pid <- .childPid(child)
    if (is.null(pid)) {
        return(difftime(Sys.time(), child$started, units = "secs") < 60)
    }
    tools::pskill(pid, 0L)
}

# End this one process, if it still runs: politely, then for certain. The shell
# writes the status last; the folder can go once it is there.
.endChild <- function(child) {
    pid <- .childPid(child)
    ended <- function() file.exists(file.path(child$folder, "status"))
    if (is.null(pid) || ended()) {
        return(invisible(NULL))
    }
    for (signal in c(tools::SIGTERM, tools::SIGKILL)) {
        tools::pskill(pid, signal)
        for (i in seq_len(60L)) {
            if (ended()) {
                return(invisible(NULL))
            }
            Sys.sleep(0.05)
        }
    }
    invisible(NULL)
}

.stopDeadChild <- function(status, child, python) {
    log <- file.path(child$folder, "log.txt")
    last <- if (file.exists(log)) utils::tail(readLines(log, warn = FALSE), 5L)
    signal <- if (isTRUE(status > 128L)) status - 128L
    found <- if (is.null(signal)) {
        sprintf("it ended with status %s", status)
    } else {
        sprintf(
            "it was ended from outside by signal %d%s", signal,
            if (signal == 9L) " (often the system's answer to a lack of memory)" else ""
        )
    }
    if (length(last)) found <- paste0(found, "; its last words: ", paste(last, collapse = " | "))
    .stopEnvironment(
        sprintf("an answer from the Python process (%s)", python), found,
        "check free memory and isthmusEnvironment(), then try again"
    )
}
